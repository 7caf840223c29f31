/*
 * For ruby_tcpsocket.rb: the server that everybody connects to, and the floor, a plain getaddrinfo(3) and connect(2) in
 * C.
 *
 *     ruby_floor serve [ipv4]       listens on ::1 and 127.0.0.1, or on the latter only and ::1 refuses; prints the port,
 *                                   closes what it accepts
 *     ruby_floor connect HOST PORT  reads counts, makes that many connects, prints wall and CPU time in nanoseconds
 */
#define _GNU_SOURCE
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* With a linger of 0 a socket leaves no TIME_WAIT behind, and the ports last. */
static void
close_at_once(int fd)
{
    const struct linger linger = { 1, 0 };

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    close(fd);
}

static int
listen_on(int family, in_port_t port)
{
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = port, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = port, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    const struct sockaddr *name = family == AF_INET6 ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4;
    socklen_t length = family == AF_INET6 ? sizeof(v6) : sizeof(v4);

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 || bind(fd, name, length) < 0
        || listen(fd, SOMAXCONN) < 0) {
        perror("ruby_floor: listen");
        exit(1);
    }
    return fd;
}

static void
serve(int ipv4_only)
{
    struct sockaddr_in6 name;
    socklen_t length = sizeof(name);
    struct pollfd fds[2] = { { .fd = listen_on(AF_INET6, 0), .events = POLLIN } };

    getsockname(fds[0].fd, (struct sockaddr *)&name, &length);
    fds[1] = (struct pollfd){ .fd = listen_on(AF_INET, name.sin6_port), .events = POLLIN };
    printf("%d\n", ntohs(name.sin6_port));
    fflush(stdout);
    if (ipv4_only) close(fds[0].fd);
    /* poll(2) passes over a descriptor below 0. */
    if (ipv4_only) fds[0].fd = -1;
    while (poll(fds, 2, -1) > 0) {
        for (int i = 0; i < 2; i++) {
            int fd;
            /* Not with a reset: it could come before the client has seen that it is connected. */
            while ((fd = accept(fds[i].fd, NULL, NULL)) >= 0) close(fd);
        }
    }
}

static void
connect_once(const char *host, const char *port)
{
    const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
    struct addrinfo *list;
    int error = getaddrinfo(host, port, &hints, &list);

    if (error) {
        fprintf(stderr, "ruby_floor: %s: %s\n", host, gai_strerror(error));
        exit(1);
    }
    int fd = -1;
    for (const struct addrinfo *entry = list; entry; entry = entry->ai_next) {
        fd = socket(entry->ai_family, entry->ai_socktype | SOCK_CLOEXEC, entry->ai_protocol);
        if (fd >= 0 && connect(fd, entry->ai_addr, entry->ai_addrlen) == 0) break;
        if (fd >= 0) close(fd);
        fd = -1;
    }
    if (fd < 0) {
        perror("ruby_floor: connect");
        exit(1);
    }
    freeaddrinfo(list);
    close_at_once(fd);
}

static long long
nanoseconds(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

int
main(int argc, char **argv)
{
    if ((argc == 2 || (argc == 3 && strcmp(argv[2], "ipv4") == 0)) && strcmp(argv[1], "serve") == 0) {
        serve(argc == 3);
        return 0;
    }
    if (argc != 4 || strcmp(argv[1], "connect") != 0) {
        fprintf(stderr, "usage: ruby_floor serve [ipv4] | connect HOST PORT\n");
        return 2;
    }
    int count;
    while (scanf("%d", &count) == 1) {
        long long wall = nanoseconds(CLOCK_MONOTONIC), cpu = nanoseconds(CLOCK_PROCESS_CPUTIME_ID);
        for (int i = 0; i < count; i++) connect_once(argv[2], argv[3]);
        printf("%lld %lld\n", nanoseconds(CLOCK_MONOTONIC) - wall, nanoseconds(CLOCK_PROCESS_CPUTIME_ID) - cpu);
        fflush(stdout);
    }
    return 0;
}
