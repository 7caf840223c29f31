/* A small dual-stack server for the demo and the tests: listens on ::1 and on 127.0.0.1 at the same free port, prints
 * the port, and tells each client where it came from. Ends when its standard input does, so that no script leaves it
 * behind. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int listen_on(const struct sockaddr *address, socklen_t length)
{
    int one = 1;
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, address, length) != 0 || listen(fd, 64) != 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

static int listen_on_one(const char *address, int *fd)
{
    struct sockaddr_in four = {.sin_family = AF_INET};
    socklen_t length = sizeof four;
    if (inet_pton(AF_INET, address, &four.sin_addr) != 1) {
        errno = EINVAL;
        return -1;
    }
    *fd = listen_on((struct sockaddr *)&four, sizeof four);
    if (*fd < 0 || getsockname(*fd, (struct sockaddr *)&four, &length) != 0)
        return -1;
    return ntohs(four.sin_port);
}

/* The same port on both families: the system picks one for IPv4, and IPv6 either gets it too or another is tried. */
static int listen_twice(int fds[2])
{
    for (int tries = 0; tries < 20; tries++) {
        struct sockaddr_in four = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
        socklen_t length = sizeof four;
        fds[0] = listen_on((struct sockaddr *)&four, sizeof four);
        if (fds[0] < 0 || getsockname(fds[0], (struct sockaddr *)&four, &length) != 0)
            return -1;
        six.sin6_port = four.sin_port;
        fds[1] = listen_on((struct sockaddr *)&six, sizeof six);
        if (fds[1] >= 0)
            return ntohs(four.sin_port);
        if (errno == EADDRNOTAVAIL || errno == EAFNOSUPPORT) {
            fprintf(stderr, "greeter: no IPv6 on this machine's loopback; listening on IPv4 only\n");
            return ntohs(four.sin_port);
        }
        if (errno != EADDRINUSE)
            return -1;
        close(fds[0]);
    }
    return -1;
}

static void greet(int listener)
{
    struct sockaddr_storage peer;
    socklen_t length = sizeof peer;
    char host[NI_MAXHOST], service[NI_MAXSERV];
    int client = accept4(listener, (struct sockaddr *)&peer, &length, SOCK_CLOEXEC);
    if (client < 0)
        return;
    if (getnameinfo((struct sockaddr *)&peer, length, host, sizeof host, service, sizeof service,
                    NI_NUMERICHOST | NI_NUMERICSERV) == 0)
        dprintf(client, "hello, %s port %s\n", host, service);
    close(client);
}

int main(int argc, char **argv)
{
    int fds[2] = {-1, -1};
    int port = argc > 1 ? listen_on_one(argv[1], &fds[0]) : listen_twice(fds);
    if (port < 0) {
        fprintf(stderr, "greeter: cannot listen: %s\n", strerror(errno));
        return 1;
    }
    signal(SIGPIPE, SIG_IGN);
    printf("%d\n", port);
    fflush(stdout);
    for (;;) {
        struct pollfd ready[3] = {{fds[0], POLLIN, 0}, {fds[1], POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
        char byte;
        if (poll(ready, 3, -1) < 0 && errno != EINTR)
            return 1;
        if (ready[2].revents != 0 && read(STDIN_FILENO, &byte, 1) <= 0)
            return 0;
        for (int i = 0; i < 2; i++)
            if (ready[i].revents & POLLIN)
                greet(fds[i]);
    }
}
