#define _GNU_SOURCE
#include "socket_options.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The longest value: a name of an interface, or of a congestion control. */
#define VALUE_LENGTH 64

typedef struct {
    int level, name;
} option_name;

typedef struct {
    /* As sockets of each family know it; a level of -1 where they do not. */
    option_name v4, v6;
    /* socket(7): the kernel doubles the value that is set, and tells the double. */
    bool is_doubled;
} option;

#define BOTH(level, name) {{level, name}, {level, name}, false}
#define EACH(v4, v6) {{IPPROTO_IP, v4}, {IPPROTO_IPV6, v6}, false}

/* The priority comes after the type of service, which sets it. */
static const option options[] = {
    EACH(IP_TOS, IPV6_TCLASS),
    EACH(IP_TTL, IPV6_UNICAST_HOPS),
    EACH(IP_MTU_DISCOVER, IPV6_MTU_DISCOVER),
    EACH(IP_RECVERR, IPV6_RECVERR),
    EACH(IP_FREEBIND, IPV6_FREEBIND),
    EACH(IP_TRANSPARENT, IPV6_TRANSPARENT),
    BOTH(SOL_SOCKET, SO_PRIORITY),
    BOTH(SOL_SOCKET, SO_MARK),
    BOTH(SOL_SOCKET, SO_BINDTODEVICE),
    BOTH(SOL_SOCKET, SO_KEEPALIVE),
    BOTH(SOL_SOCKET, SO_LINGER),
    BOTH(SOL_SOCKET, SO_OOBINLINE),
    BOTH(SOL_SOCKET, SO_DONTROUTE),
    BOTH(SOL_SOCKET, SO_REUSEADDR),
    BOTH(SOL_SOCKET, SO_REUSEPORT),
    BOTH(SOL_SOCKET, SO_RCVTIMEO),
    BOTH(SOL_SOCKET, SO_SNDTIMEO),
    BOTH(SOL_SOCKET, SO_RCVLOWAT),
    BOTH(SOL_SOCKET, SO_BUSY_POLL),
    BOTH(SOL_SOCKET, SO_TIMESTAMP),
    BOTH(SOL_SOCKET, SO_ZEROCOPY),
    {{SOL_SOCKET, SO_RCVBUF}, {SOL_SOCKET, SO_RCVBUF}, true},
    {{SOL_SOCKET, SO_SNDBUF}, {SOL_SOCKET, SO_SNDBUF}, true},
    BOTH(IPPROTO_TCP, TCP_CONGESTION),
    BOTH(IPPROTO_TCP, TCP_FASTOPEN_CONNECT),
    BOTH(IPPROTO_TCP, TCP_KEEPCNT),
    BOTH(IPPROTO_TCP, TCP_KEEPIDLE),
    BOTH(IPPROTO_TCP, TCP_KEEPINTVL),
    BOTH(IPPROTO_TCP, TCP_LINGER2),
    BOTH(IPPROTO_TCP, TCP_MAXSEG),
    BOTH(IPPROTO_TCP, TCP_NODELAY),
    BOTH(IPPROTO_TCP, TCP_CORK),
    BOTH(IPPROTO_TCP, TCP_NOTSENT_LOWAT),
    BOTH(IPPROTO_TCP, TCP_QUICKACK),
    BOTH(IPPROTO_TCP, TCP_SYNCNT),
    BOTH(IPPROTO_TCP, TCP_USER_TIMEOUT),
    BOTH(IPPROTO_TCP, TCP_WINDOW_CLAMP),
};

typedef struct {
    unsigned char bytes[VALUE_LENGTH];
    socklen_t length;
} option_value;

/* False where this kernel has no such option. */
static bool
read_value(int fd, option_name name, option_value *ret_value)
{
    memset(ret_value, 0, sizeof *ret_value);
    ret_value->length = sizeof ret_value->bytes;
    return getsockopt(fd, name.level, name.name, ret_value->bytes, &ret_value->length) == 0;
}

static bool
is_equal(const option_value *one, const option_value *other)
{
    return one->length == other->length && memcmp(one->bytes, other->bytes, one->length) == 0;
}

static int
copy_one(const option *what, int from, int from_family, int fresh, int to, int to_family)
{
    const option_name *name = from_family == AF_INET ? &what->v4 : &what->v6;
    option_value set, usual;

    if (!read_value(from, *name, &set) || !read_value(fresh, *name, &usual) || is_equal(&set, &usual)) return 0;
    if (what->is_doubled) {
        int half;

        memcpy(&half, set.bytes, sizeof half);
        half /= 2;
        memcpy(set.bytes, &half, sizeof half);
    }
    name = to_family == AF_INET ? &what->v4 : &what->v6;
    return setsockopt(to, name->level, name->name, set.bytes, set.length) == 0 ? 0 : errno;
}

static int
family_of(int fd)
{
    int family = -1;
    socklen_t length = sizeof family;

    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &length) == 0 ? family : -1;
}

int
socket_options_copy(int from, int to)
{
    int from_family = family_of(from), to_family = family_of(to), error = 0;
    int fresh = socket(from_family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);

    if (fresh < 0) return errno;
    for (size_t index = 0; index < sizeof options / sizeof *options && !error; index++) {
        error = copy_one(&options[index], from, from_family, fresh, to, to_family);
    }
    close(fresh);
    return error;
}
