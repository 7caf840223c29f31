/* happy_multi in a loop of epoll(7), by socket action: the loop watches each socket itself. */
#include "loop.h"
#include <sys/epoll.h>
#include <time.h>

static int set;
/* When to call without any socket being ready, in milliseconds of the monotonic clock; -1: not at all. */
static long long deadline = -1;

static long long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static void watch(happy_multi *multi, int fd, int what, void *socket_data, void *userdata)
{
    (void)multi, (void)userdata, (void)socket_data;
    struct epoll_event event = {.data.fd = fd};
    if (what & HAPPY_POLL_IN)
        event.events |= EPOLLIN;
    if (what & HAPPY_POLL_OUT)
        event.events |= EPOLLOUT;
    if (epoll_ctl(set, what == HAPPY_POLL_REMOVE ? EPOLL_CTL_DEL : EPOLL_CTL_ADD, fd, &event) != 0) {
        perror("epoll_ctl");
        exit(1);
    }
}

static void set_timer(happy_multi *multi, int timeout_ms, void *userdata)
{
    (void)multi, (void)userdata;
    deadline = timeout_ms < 0 ? -1 : now_ms() + timeout_ms;
}

int main(int argc, char **argv)
{
    happy_multi *multi = NULL;
    if (happy_multi_new(&multi) != HAPPY_OK) {
        fprintf(stderr, "happy_multi_new: %s\n", happy_error_message());
        return 1;
    }
    set = epoll_create1(EPOLL_CLOEXEC);
    if (set < 0) {
        perror("epoll_create1");
        return 1;
    }
    happy_multi_set_socket_callback(multi, watch, NULL);
    happy_multi_set_timer_callback(multi, set_timer, NULL);
    add_connects(multi, argc, argv, NULL);
    for (int running = 1; running > 0;) {
        struct epoll_event ready[64];
        long long left = deadline < 0 ? -1 : deadline - now_ms();
        int count = epoll_wait(set, ready, 64, deadline < 0 ? -1 : left > 0 ? (int)left : 0);
        for (int i = 0; i < count; i++) {
            int events = (ready[i].events & EPOLLIN ? HAPPY_POLL_IN : 0) |
                         (ready[i].events & EPOLLOUT ? HAPPY_POLL_OUT : 0) |
                         (ready[i].events & (EPOLLERR | EPOLLHUP) ? HAPPY_POLL_ERROR : 0);
            /* HAPPY_ENOENT: what was ready a moment ago was removed by a call before this one. */
            happy_multi_socket_action(multi, ready[i].data.fd, events, &running);
        }
        if (deadline >= 0 && deadline <= now_ms()) {
            deadline = -1;
            happy_multi_socket_action(multi, HAPPY_SOCKET_TIMEOUT, 0, &running);
        }
    }
    happy_multi_free(multi);
    close(set);
    return summary();
}
