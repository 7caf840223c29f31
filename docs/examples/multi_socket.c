/* Many connects by socket action, in a loop of epoll(7) that watches each socket itself.
 *
 * shows: happy_multi_set_socket_callback happy_multi_set_timer_callback happy_multi_assign happy_multi_socket_action
 * shows: happy_socket_fn happy_timer_fn
 * run: PORT dual.test four.test half.test
 * prints: 3 of 3 connected
 */
#include <happysock.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

static int set, wait_ms, connected;

/* What the loop keeps for a descriptor; the library hands it back with each
 * call. */
struct watch {
    int fd;
};

static void watch(happy_multi *multi, int fd, int what, void *socket_data,
                  void *userdata)
{
    struct watch *kept = socket_data;
    (void)userdata;
    if (what == HAPPY_POLL_REMOVE) {
        epoll_ctl(set, EPOLL_CTL_DEL, fd, NULL);
        free(kept);
        return;
    }
    if (kept == NULL) {
        kept = malloc(sizeof *kept);
        if (kept == NULL)
            abort();
        kept->fd = fd;
        happy_multi_assign(multi, fd, kept);
    }
    struct epoll_event event = {.data.fd = fd};
    event.events = (what & HAPPY_POLL_IN ? EPOLLIN : 0u) |
                   (what & HAPPY_POLL_OUT ? EPOLLOUT : 0u);
    if (epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) != 0)
        epoll_ctl(set, EPOLL_CTL_MOD, fd, &event);
}

/* A loop with timers of its own would set one; this one bounds its wait. A
 * call too early is harmless. */
static void set_timer(happy_multi *multi, int timeout_ms, void *userdata)
{
    (void)multi, (void)userdata;
    wait_ms = timeout_ms;
}

static void done(happy_multi *multi, uint64_t id, const happy_result *result,
                 void *userdata)
{
    (void)multi, (void)id, (void)userdata;
    if (result->status == HAPPY_OK) {
        connected++;
        close(result->fd);
    }
}

int main(int argc, char **argv)
{
    happy_multi *multi = NULL;
    int running = 1;
    set = epoll_create1(EPOLL_CLOEXEC);
    if (argc < 3 || set < 0 || happy_multi_new(&multi) != HAPPY_OK)
        return 2;
    happy_multi_set_socket_callback(multi, watch, NULL);
    happy_multi_set_timer_callback(multi, set_timer, NULL);
    for (int i = 2; i < argc; i++)
        happy_multi_add(multi, argv[i], argv[1], NULL, done, NULL, NULL,
                        NULL);
    while (running > 0) {
        struct epoll_event ready;
        int count = epoll_wait(set, &ready, 1, wait_ms);
        /* HAPPY_ENOENT is harmless: what was ready a moment ago is watched no
         * more. */
        if (count > 0)
            happy_multi_socket_action(multi, ready.data.fd, 0, &running);
        else
            happy_multi_socket_action(multi, HAPPY_SOCKET_TIMEOUT, 0,
                                      &running);
    }
    happy_multi_free(multi);
    close(set);
    printf("%d of %d connected\n", connected, argc - 2);
    return 0;
}
