/*
 * What ext/socket needs of a SOCKS library: SOCKSinit and Rconnect, for SOCKS 5 (RFC 1928) without authentication. The proxy is
 * that of the environment variable SOCKS_SERVER, as ADDRESS:PORT with an IPv4 address.
 */

#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int SOCKSinit(char *program)
{
    (void)program;
    return 0;
}

static bool send_all(int fd, const void *data, size_t length)
{
    return send(fd, data, length, MSG_NOSIGNAL) == (ssize_t)length;
}

static bool receive_all(int fd, void *data, size_t length)
{
    return recv(fd, data, length, MSG_WAITALL) == (ssize_t)length;
}

/* The errno of a reply (RFC 1928, section 6). */
static int reply_errno(uint8_t reply)
{
    switch (reply) {
      case 3: return ENETUNREACH;
      case 4: return EHOSTUNREACH;
      case 5: return ECONNREFUSED;
      default: return EACCES;
    }
}

/* Asks the proxy at the other end of `fd` to connect to `address`. 0, or an errno. */
static int ask(int fd, const struct sockaddr *address)
{
    uint8_t request[22] = { 5, 1, 0 }, answer[22];
    size_t length = address->sa_family == AF_INET6 ? 16 : 4;

    if (!send_all(fd, request, 3) || !receive_all(fd, answer, 2)) return EPIPE;
    if (answer[0] != 5 || answer[1] != 0) return EPROTO;
    request[3] = length == 16 ? 4 : 1;
    if (length == 16) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
        memcpy(request + 4, &v6->sin6_addr, length);
        memcpy(request + 4 + length, &v6->sin6_port, 2);
    }
    else {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
        memcpy(request + 4, &v4->sin_addr, length);
        memcpy(request + 4 + length, &v4->sin_port, 2);
    }
    if (!send_all(fd, request, 4 + length + 2) || !receive_all(fd, answer, 4)) return EPIPE;
    if (answer[1] != 0) return reply_errno(answer[1]);
    length = answer[3] == 4 ? 16 : 4;
    return receive_all(fd, answer + 4, length + 2) ? 0 : EPIPE;
}

/* Connects `fd` to `address` through the proxy. The socket becomes one to the proxy, whatever family it was of. */
int Rconnect(int fd, const struct sockaddr *address, socklen_t length)
{
    const char *server = getenv("SOCKS_SERVER");
    const char *colon = server ? strchr(server, ':') : NULL;
    struct sockaddr_in proxy = { .sin_family = AF_INET };
    char host[INET_ADDRSTRLEN] = "";
    int flags = fcntl(fd, F_GETFL), error = EINVAL;

    (void)length;
    if (colon && (size_t)(colon - server) < sizeof(host)) memcpy(host, server, colon - server);
    if (!colon || inet_pton(AF_INET, host, &proxy.sin_addr) != 1) {
        errno = EINVAL;
        return -1;
    }
    proxy.sin_port = htons((uint16_t)atoi(colon + 1));
    int to_proxy = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (to_proxy < 0) return -1;
    error = connect(to_proxy, (struct sockaddr *)&proxy, sizeof(proxy)) < 0 ? errno : ask(to_proxy, address);
    if (!error && (dup3(to_proxy, fd, O_CLOEXEC) < 0 || fcntl(fd, F_SETFL, flags) < 0)) error = errno;
    close(to_proxy);
    errno = error;
    return error ? -1 : 0;
}
