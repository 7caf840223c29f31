/* happy_multi in libuv's loop, by socket action: a uv_poll_t for each socket, one uv_timer_t. */
#include "loop.h"
#include <uv.h>

static happy_multi *multi;
static uv_timer_t timer;

static void free_handle(uv_handle_t *handle)
{
    free(handle);
}

/* libuv says that a socket is ready. */
static void ready(uv_poll_t *poll, int status, int events)
{
    int fd = (int)(intptr_t)poll->data;
    int what = (events & UV_READABLE ? HAPPY_POLL_IN : 0) | (events & UV_WRITABLE ? HAPPY_POLL_OUT : 0) |
               (status < 0 ? HAPPY_POLL_ERROR : 0);
    happy_multi_socket_action(multi, fd, what, NULL);
}

static void expired(uv_timer_t *handle)
{
    (void)handle;
    happy_multi_socket_action(multi, HAPPY_SOCKET_TIMEOUT, 0, NULL);
}

/* The library says which sockets to watch. */
static void watch(happy_multi *self, int fd, int what, void *socket_data, void *userdata)
{
    uv_poll_t *poll = socket_data;
    (void)userdata;
    if (what == HAPPY_POLL_REMOVE) {
        uv_poll_stop(poll);
        uv_close((uv_handle_t *)poll, free_handle);
        return;
    }
    poll = malloc(sizeof *poll);
    if (poll == NULL || uv_poll_init(uv_default_loop(), poll, fd) != 0) {
        fprintf(stderr, "uv_poll_init failed\n");
        exit(1);
    }
    poll->data = (void *)(intptr_t)fd;
    happy_multi_assign(self, fd, poll);
    uv_poll_start(poll, (what & HAPPY_POLL_IN ? UV_READABLE : 0) | (what & HAPPY_POLL_OUT ? UV_WRITABLE : 0), ready);
}

static void set_timer(happy_multi *self, int timeout_ms, void *userdata)
{
    (void)self, (void)userdata;
    if (timeout_ms < 0)
        uv_timer_stop(&timer);
    else
        uv_timer_start(&timer, expired, (uint64_t)timeout_ms, 0);
}

int main(int argc, char **argv)
{
    if (happy_multi_new(&multi) != HAPPY_OK) {
        fprintf(stderr, "happy_multi_new: %s\n", happy_error_message());
        return 1;
    }
    uv_timer_init(uv_default_loop(), &timer);
    happy_multi_set_socket_callback(multi, watch, NULL);
    happy_multi_set_timer_callback(multi, set_timer, NULL);
    add_connects(multi, argc, argv, NULL);
    /* Ends by itself: without connects the library watches nothing and needs no timer. */
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    happy_multi_free(multi);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    uv_loop_close(uv_default_loop());
    return summary();
}
