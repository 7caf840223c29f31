/* Socket options that have to be set before connect(2).
 *
 * shows: happy_configure_socket_fn
 * run: dual.test PORT
 * prints: connected without delay
 */
#include <errno.h>
#include <happysock.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <unistd.h>

static int configure(int fd, const struct sockaddr *address,
                     socklen_t address_length, void *userdata)
{
    int on = 1;
    (void)address, (void)address_length, (void)userdata;
    return setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0
               ? 0
               : errno;
}

int main(int argc, char **argv)
{
    happy_options options = HAPPY_OPTIONS_INIT;
    int on = 0;
    socklen_t length = sizeof on;
    if (argc != 3)
        return 2;
    options.configure_socket = configure;
    int fd = init_inetsock_happy(argv[1], argv[2], &options, NULL);
    if (fd < 0 ||
        getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &length) != 0 || !on)
        return 1;
    printf("connected without delay\n");
    close(fd);
    return 0;
}
