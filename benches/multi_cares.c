/* c-ares with epoll, then socket + connect. c-ares asks everything at once over one socket, and loses what its receive
 * buffer does not hold (256 answers by default); so no more names than fit are given to it at a time. */
#define _GNU_SOURCE
#include "multi_common.h"
#include <ares.h>
#include <netdb.h>
#include <sys/epoll.h>

/* A name that is being looked up or connected; its place is free when its index is negative. */
struct name {
    int fd;
};

/* Two answers each. */
enum { MOST_IN_FLIGHT = 100 };

static ares_channel channel;
static int set, running, next_index, in_flight;
static struct name *names;

static void watch(void *unused, ares_socket_t fd, int readable, int writable)
{
    (void)unused;
    /* Descriptors of c-ares are known by a pointer that is no name's: their number, odd. */
    struct epoll_event event = {.events = (readable ? EPOLLIN : 0) | (writable ? EPOLLOUT : 0),
                                .data.u64 = (uint64_t)fd << 1 | 1};
    if (!readable && !writable)
        epoll_ctl(set, EPOLL_CTL_DEL, fd, NULL);
    else if (epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) != 0)
        epoll_ctl(set, EPOLL_CTL_MOD, fd, &event);
}

static void answered(void *argument, int status, int timeouts, struct ares_addrinfo *result)
{
    struct name *name = argument;
    (void)timeouts;
    in_flight--;
    if (status == ARES_ECANCELLED || status == ARES_EDESTRUCTION)
        return;
    if (status != ARES_SUCCESS || result->nodes == NULL) {
        bench.failed++;
        running--;
    } else {
        struct ares_addrinfo_node *node = result->nodes;
        name->fd = socket(node->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
        if (name->fd < 0 || (connect(name->fd, node->ai_addr, node->ai_addrlen) != 0 && errno != EINPROGRESS))
            fail("connect");
        struct epoll_event event = {.events = EPOLLOUT, .data.ptr = name};
        if (epoll_ctl(set, EPOLL_CTL_ADD, name->fd, &event) != 0)
            fail("epoll_ctl");
    }
    if (result != NULL)
        ares_freeaddrinfo(result);
}

static void ask_more(void)
{
    struct ares_addrinfo_hints hints = {.ai_socktype = SOCK_STREAM, .ai_flags = ARES_AI_NUMERICSERV};
    char host[256];
    while (next_index < bench.count && in_flight < (bench_is_unanswered() ? bench.count : MOST_IN_FLIGHT)) {
        in_flight++;
        ares_getaddrinfo(channel, bench_host(next_index, host), bench.service, &hints, answered, &names[next_index]);
        next_index++;
    }
}

static void connected(struct name *name)
{
    int error = 0;
    socklen_t length = sizeof error;
    getsockopt(name->fd, SOL_SOCKET, SO_ERROR, &error, &length);
    *(error == 0 ? &bench.ok : &bench.failed) += 1;
    close_with_reset(name->fd);
    running--;
}

int main(int argc, char **argv)
{
    struct epoll_event ready[256];
    struct ares_options options = {.sock_state_cb = watch};
    bench_arguments(argc, argv);
    bench_begin();
    set = epoll_create1(EPOLL_CLOEXEC);
    if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS ||
        ares_init_options(&channel, &options, ARES_OPT_SOCK_STATE_CB) != ARES_SUCCESS)
        fail("c-ares");
    names = calloc((size_t)bench.count, sizeof *names);
    running = bench.count;
    ask_more();
    if (bench_is_unanswered()) {
        bench_all_begun();
        ares_cancel(channel);
        bench.cancelled = now_us();
    } else {
        while (running > 0) {
            struct timeval most = {1, 0}, left, *wait = ares_timeout(channel, &most, &left);
            int count = epoll_wait(set, ready, 256, (int)(wait->tv_sec * 1000 + (wait->tv_usec + 999) / 1000));
            for (int i = 0; i < count; i++) {
                if (ready[i].data.u64 & 1) {
                    ares_socket_t fd = (ares_socket_t)(ready[i].data.u64 >> 1);
                    bool broken = ready[i].events & (EPOLLERR | EPOLLHUP);
                    ares_process_fd(channel, broken || ready[i].events & EPOLLIN ? fd : ARES_SOCKET_BAD,
                                    broken || ready[i].events & EPOLLOUT ? fd : ARES_SOCKET_BAD);
                } else {
                    connected(ready[i].data.ptr);
                }
            }
            if (count == 0)
                ares_process_fd(channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
            ask_more();
        }
        bench_all_ended();
    }
    bench.most_threads = threads_now();
    bench_print("c-ares");
    ares_destroy(channel);
    ares_library_cleanup();
    free(names);
    return bench.failed == 0 ? 0 : 1;
}
