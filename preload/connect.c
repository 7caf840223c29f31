/*
 * connect(2) of a blocking TCP socket to an address that getaddrinfo(3) has given: if it has not connected after the
 * Connection Attempt Delay of RFC 8305, or fails, the addresses after it in that answer are raced beside it.
 *
 * The caller's socket makes the first attempt itself. Where that connects, nothing has changed but the time of day. Where
 * another one does, its socket, with the options that were set on the caller's, takes the place of the caller's descriptor.
 */
#define _GNU_SOURCE
#include "answers.h"
#include "held.h"
#include "next.h"
#include "socket_options.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

/* RFC 8305, section 5: the recommended Connection Attempt Delay. */
#define CONNECTION_ATTEMPT_DELAY_NS INT64_C(250000000)
#define NS_PER_SECOND INT64_C(1000000000)
#define NS_PER_MS INT64_C(1000000)
#define NEVER INT64_MAX

__attribute__((visibility("default"))) int
connect(int fd, const struct sockaddr *address, socklen_t length);

static int64_t
now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * NS_PER_SECOND + now.tv_nsec;
}

static int
option_of(int fd, int level, int name)
{
    int value = -1;
    socklen_t length = sizeof value;

    return getsockopt(fd, level, name, &value, &length) == 0 ? value : -1;
}

/* The socket must be as socket(2) has made it, but for options. */
static bool
is_bound(int fd, int family)
{
    internet_address local;
    struct sockaddr_storage name;
    socklen_t length = sizeof name;

    if (getsockname(fd, (struct sockaddr *)&name, &length) != 0) return true;
    if (!internet_address_read((struct sockaddr *)&name, length, &local) || local.any.sa_family != family) return true;
    if (family == AF_INET) return local.v4.sin_port != 0 || local.v4.sin_addr.s_addr != htonl(INADDR_ANY);
    return local.v6.sin6_port != 0 || !IN6_IS_ADDR_UNSPECIFIED(&local.v6.sin6_addr);
}

static bool
is_closed(int fd)
{
    struct tcp_info info;
    socklen_t length = sizeof info;

    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) == 0 && info.tcpi_state == TCP_CLOSE;
}

/* Socket filters cannot be read without rights, so that a socket that has one is left alone. */
static bool
has_filter(int fd)
{
    socklen_t length = 0;

    return getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, NULL, &length) != 0 || length != 0;
}

/*
 * Whether another socket may take this one's place: a blocking TCP socket that is neither bound nor connected. Whoever has
 * a non-blocking one watches it with poll(2) or epoll(7), which would not follow the change.
 */
static bool
may_be_raced(int fd, int family, int *ret_flags)
{
    int flags = fcntl(fd, F_GETFL);

    *ret_flags = flags;
    return flags >= 0 && !(flags & (O_NONBLOCK | O_ASYNC)) && option_of(fd, SOL_SOCKET, SO_TYPE) == SOCK_STREAM &&
           option_of(fd, SOL_SOCKET, SO_PROTOCOL) == IPPROTO_TCP && option_of(fd, SOL_SOCKET, SO_DOMAIN) == family &&
           !is_bound(fd, family) && is_closed(fd) && !has_filter(fd);
}

/* When the caller's own limit on a connect is over: SO_SNDTIMEO, socket(7). */
static int64_t
deadline_of(int fd, int64_t now)
{
    struct timeval limit = {0, 0};
    socklen_t length = sizeof limit;

    if (getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, &length) != 0) return NEVER;
    if (limit.tv_sec == 0 && limit.tv_usec == 0) return NEVER;
    if (limit.tv_sec > INT32_MAX) return NEVER;
    return now + limit.tv_sec * NS_PER_SECOND + limit.tv_usec * (NS_PER_SECOND / 1000000);
}

/* Whether a signal that has a handler ends system calls: sigaction(2), SA_RESTART. */
static bool
signals_interrupt(void)
{
    for (int signal = 1; signal < NSIG; signal++) {
        struct sigaction action;

        if (sigaction(signal, NULL, &action) != 0 || (action.sa_flags & SA_RESTART)) continue;
        if (action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN) return true;
    }
    return false;
}

static int
copy_options(int fd, const struct sockaddr *address, socklen_t length, void *userdata)
{
    const held_objects *held = userdata;

    (void)address;
    (void)length;
    return socket_options_copy(held->fd, fd);
}

/* The race of the other addresses, which begins with the other family. NULL where it cannot be begun. */
static happy_connect *
begin_race(held_objects *held, int family, internet_address *others, size_t count)
{
    struct addrinfo nodes[ANSWER_ADDRESSES];
    happy_options options = HAPPY_OPTIONS_INIT;
    happy_connect *race = NULL;

    memset(nodes, 0, sizeof nodes);
    for (size_t index = 0; index < count; index++) {
        nodes[index].ai_family = others[index].any.sa_family;
        nodes[index].ai_socktype = SOCK_STREAM;
        nodes[index].ai_protocol = IPPROTO_TCP;
        nodes[index].ai_addr = &others[index].any;
        nodes[index].ai_addrlen = others[index].any.sa_family == AF_INET ? sizeof others[index].v4 : sizeof others[index].v6;
        nodes[index].ai_next = index + 1 < count ? &nodes[index + 1] : NULL;
    }
    options.addresses = nodes;
    options.preferred_family = family == AF_INET ? AF_INET6 : AF_INET;
    options.configure_socket = copy_options;
    options.userdata = held;
    happy_connect_new(NULL, NULL, &options, &race, NULL);
    return race;
}

/* The winner takes the place of the caller's socket, with the caller's flags of descriptor and file. */
static int
replace(held_objects *held, int winner)
{
    int fd = held->fd, flags = held->fd_flags;
    int is_inherited = !(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    int error = 0;

    if (fcntl(winner, F_SETFL, flags) != 0 || dup3(winner, fd, is_inherited ? 0 : O_CLOEXEC) < 0) error = errno;
    else held->fd = -1;
    close(winner);
    return error;
}

typedef struct {
    held_objects *held;
    int family;
    internet_address others[ANSWER_ADDRESSES];
    size_t count;
    /* When the others are raced, and when the caller's limit is over. */
    int64_t others_from, deadline;
    /* What the caller's own attempt has come to; EINPROGRESS while it runs. */
    int own_error;
} race;

static void
look_at_own(race *self)
{
    struct pollfd own = {.fd = self->held->fd, .events = POLLOUT};

    if (self->own_error == EINPROGRESS && poll(&own, 1, 0) > 0) {
        self->own_error = option_of(own.fd, SOL_SOCKET, SO_ERROR);
    }
}

/* Begins the race of the others when it is due, and goes on with it. True when it has connected: `own_error` is 0 then. */
static bool
drive_others(race *self)
{
    held_objects *held = self->held;
    int winner;

    if (!held->connect && self->count > 0 && (self->own_error != EINPROGRESS || now_ns() >= self->others_from)) {
        held->connect = begin_race(held, self->family, self->others, self->count);
        self->count = 0;
    }
    if (!held->connect || happy_connect_dispatch(held->connect) == HAPPY_EAGAIN) return false;
    winner = happy_connect_take_result(held->connect, NULL);
    happy_connect_free(held->connect);
    held->connect = NULL;
    if (winner < 0) return false;
    self->own_error = replace(held, winner);
    return true;
}

/* Waits until there is something to look at. False with the errno that ends the call. */
static bool
wait_for_events(race *self)
{
    held_objects *held = self->held;
    struct pollfd descriptors[2] = {
        {.fd = self->own_error == EINPROGRESS ? held->fd : -1, .events = POLLOUT},
        {.fd = held->connect ? happy_connect_get_fd(held->connect) : -1, .events = POLLIN},
    };
    int64_t now = now_ns(), until = self->deadline;
    struct timespec limit;

    if (now >= self->deadline) {
        errno = EINPROGRESS;
        return false;
    }
    if (held->connect && descriptors[1].fd < 0) {
        /* No descriptor is left for the race. */
        happy_connect_free(held->connect);
        held->connect = NULL;
        return true;
    }
    if (!held->connect && self->count > 0 && self->others_from < until) until = self->others_from;
    if (until < now) until = now;
    limit.tv_sec = (until - now) / NS_PER_SECOND;
    limit.tv_nsec = (until - now) % NS_PER_SECOND;
    if (held_wait(descriptors, 2, until == NEVER ? NULL : &limit) >= 0) return true;
    return errno == EINTR && !signals_interrupt();
}

/* The whole of it; answers 0 or the errno of the caller's connect(2). */
static int
run(race *self)
{
    for (;;) {
        look_at_own(self);
        if (self->own_error == 0 || drive_others(self)) return self->own_error;
        /* A failure is the caller's own, whatever the others came to: that is the address that it knows of. */
        if (self->own_error != EINPROGRESS && !self->held->connect && self->count == 0) return self->own_error;
        if (!wait_for_events(self)) return self->own_error == EINPROGRESS ? errno : self->own_error;
    }
}

static int
connect_or_race(held_objects *held, int fd, int flags, const struct sockaddr *address, socklen_t length, race *self)
{
    int64_t now = now_ns();

    if (fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) return errno;
    held->fd = fd;
    held->fd_flags = flags;
    self->held = held;
    self->family = address->sa_family;
    self->others_from = now + CONNECTION_ATTEMPT_DELAY_NS;
    self->deadline = deadline_of(fd, now);
    self->own_error = next_connect(fd, address, length) == 0 ? 0 : errno;
    return run(self);
}

int
connect(int fd, const struct sockaddr *address, socklen_t length)
{
    int error = errno, flags;
    internet_address wanted;
    held_objects *held;
    race self;

    if (internet_address_read(address, length, &wanted) == 0 || !next_connect_is_of_libc()) {
        return next_connect(fd, address, length);
    }
    self.count = answers_find_others(&wanted, self.others);
    if (self.count == 0 || !may_be_raced(fd, address->sa_family, &flags) || !(held = held_begin(__builtin_frame_address(0)))) {
        errno = error;
        return next_connect(fd, address, length);
    }
    errno = error;
    error = connect_or_race(held, fd, flags, address, length, &self);
    if (error == 0) {
        held_end();
        return 0;
    }
    errno = error;
    held_end();
    return -1;
}
