/* The example at the top of happysock.h. */
#include <happysock.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    happy_options options = HAPPY_OPTIONS_INIT;
    happy_result result = HAPPY_RESULT_INIT;
    options.open_timeout_ms = 5000;
    int fd = init_inetsock_happy(argc > 1 ? argv[1] : "localhost", argc > 2 ? argv[2] : "http", &options, &result);
    if (fd < 0) {
        fprintf(stderr, "%s\n",
                result.status == HAPPY_ERESOLVE ? gai_strerror(result.gai_error)
                : result.sys_errno != 0         ? strerror(result.sys_errno)
                                                : happy_status_str(result.status));
        return 1;
    }
    printf("connected over %s\n", result.address.ss_family == AF_INET6 ? "IPv6" : "IPv4");
    return close(fd);
}
