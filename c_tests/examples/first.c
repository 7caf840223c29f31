/* The example at the top of happysock.h. */
#include <happysock.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    const char *host = argc > 1 ? argv[1] : "localhost", *port = argc > 2 ? argv[2] : "http";
    happy_options options = HAPPY_OPTIONS_INIT;
    happy_result result = HAPPY_RESULT_INIT;
    char message[256];
    options.open_timeout_ms = 5000;
    int fd = init_inetsock_happy(host, port, &options, &result);
    happy_result_message(&result, message, sizeof message);
    if (fd < 0) {
        fprintf(stderr, "%s: %s\n", host, message);
        return 1;
    }
    printf("%s\n", message);
    return close(fd);
}
