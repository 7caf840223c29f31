/* happy_multi, driven by socket action. */
#define _GNU_SOURCE
#include "name_server.h"
#include "support.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct entry {
    uint64_t id;
    int ended, status;
};

/* The loop of these tests: poll(2) over what the library asked for. */
static struct {
    struct pollfd fds[512];
    void *data[512];
    int count, announced, removed;
    /* When the timer is due, 0: not at all. */
    double timer;
    int timer_calls, latest_timeout;
    bool inside;
    /* Called from inside the callbacks. */
    void (*in_socket)(happy_multi *multi, int fd, int what);
    void (*in_timer)(happy_multi *multi);
} loop;

static int place_of(int fd)
{
    for (int i = 0; i < loop.count; i++)
        if (loop.fds[i].fd == fd)
            return i;
    return -1;
}

static void watch(happy_multi *multi, int fd, int what, void *socket_data, void *userdata)
{
    int place = place_of(fd);
    assert_ptr_equal(userdata, &loop);
    /* Always announced while it is open, also as removed. */
    assert_int_not_equal(fcntl(fd, F_GETFD), -1);
    if (what == HAPPY_POLL_REMOVE) {
        assert_int_not_equal(place, -1);
        assert_ptr_equal(socket_data, loop.data[place]);
        loop.count--;
        loop.fds[place] = loop.fds[loop.count];
        loop.data[place] = loop.data[loop.count];
        loop.removed++;
    } else {
        assert_int_equal(place, -1);
        assert_null(socket_data);
        assert_true(what == HAPPY_POLL_IN || what == HAPPY_POLL_OUT);
        assert_true(loop.count < (int)COUNT_OF(loop.fds));
        struct pollfd entry = {fd, what == HAPPY_POLL_IN ? POLLIN : POLLOUT, 0};
        loop.fds[loop.count] = entry;
        loop.data[loop.count] = NULL;
        /* Every second one gets a pointer. */
        if (loop.announced % 2 == 0) {
            loop.data[loop.count] = &loop.fds[loop.announced % 100];
            assert_int_equal(happy_multi_assign(multi, fd, loop.data[loop.count]), HAPPY_OK);
        }
        loop.count++;
        loop.announced++;
    }
    if (loop.in_socket)
        loop.in_socket(multi, fd, what);
}

static void set_timer(happy_multi *multi, int timeout_ms, void *userdata)
{
    assert_ptr_equal(userdata, &loop);
    assert_true(timeout_ms >= -1);
    assert_false(loop.inside);
    loop.inside = true;
    loop.timer_calls++;
    loop.latest_timeout = timeout_ms;
    loop.timer = timeout_ms < 0 ? 0 : now_ms() + timeout_ms;
    if (loop.in_timer)
        loop.in_timer(multi);
    loop.inside = false;
}

static happy_multi *new_multi(void)
{
    happy_multi *multi = NULL;
    assert_int_equal(happy_multi_new(&multi), HAPPY_OK);
    assert_non_null(multi);
    memset(&loop, 0, sizeof loop);
    loop.latest_timeout = -1;
    assert_int_equal(happy_multi_set_socket_callback(multi, watch, &loop), HAPPY_OK);
    assert_int_equal(happy_multi_set_timer_callback(multi, set_timer, &loop), HAPPY_OK);
    return multi;
}

/* One round of the loop; answers how many connects are left. */
static int turn(happy_multi *multi, int limit_ms)
{
    struct pollfd ready[COUNT_OF(loop.fds)];
    int count = loop.count, running = -1;
    double left = loop.timer == 0 ? limit_ms : loop.timer - now_ms();
    memcpy(ready, loop.fds, sizeof ready);
    poll(ready, (nfds_t)count, left <= 0 ? 0 : left < limit_ms ? (int)left + 1 : limit_ms);
    for (int i = 0; i < count; i++) {
        if (ready[i].revents == 0)
            continue;
        /* What an earlier call of this round has removed is told all the same: harmless. */
        int gone = place_of(ready[i].fd) == -1;
        int events = (ready[i].revents & POLLIN ? HAPPY_POLL_IN : 0) |
                     (ready[i].revents & POLLOUT ? HAPPY_POLL_OUT : 0) |
                     (ready[i].revents & (POLLERR | POLLHUP) ? HAPPY_POLL_ERROR : 0);
        assert_int_equal(happy_multi_socket_action(multi, ready[i].fd, events, &running),
                         gone ? HAPPY_ENOENT : HAPPY_OK);
    }
    if (loop.timer != 0 && loop.timer <= now_ms()) {
        loop.timer = 0;
        assert_int_equal(happy_multi_socket_action(multi, HAPPY_SOCKET_TIMEOUT, 0, &running), HAPPY_OK);
    }
    return running;
}

static void drive_until(happy_multi *multi, int left)
{
    double until = now_ms() + PATIENCE_MS;
    int running = -1;
    while (running != left && now_ms() < until)
        running = turn(multi, 1000);
    assert_int_equal(running, left);
}

static void done(happy_multi *multi, uint64_t id, const happy_result *result, void *userdata)
{
    struct entry *entry = userdata;
    (void)id;
    entry->ended++;
    entry->status = result->status;
    assert_int_equal(happy_multi_socket_action(multi, HAPPY_SOCKET_TIMEOUT, 0, NULL), HAPPY_EREENTRANT);
    if (result->status == HAPPY_OK) {
        /* Handed over: not watched any more. */
        assert_int_equal(place_of(result->fd), -1);
        check_socket(result->fd, false);
        close(result->fd);
    }
}

static void add(happy_multi *multi, const char *host, int port, const happy_options *options, struct entry *entry)
{
    assert_int_equal(happy_multi_add(multi, host, service(port), options, done, &entry->id, NULL, entry), HAPPY_OK);
}

static int dual[2], dual_port;

static int open_servers(void **state)
{
    (void)state;
    listen_on_both("::1", "127.0.0.1", dual, &dual_port);
    return 0;
}

static int close_servers(void **state)
{
    (void)state;
    close(dual[0]);
    close(dual[1]);
    wait_for_workers_to_leave();
    return 0;
}

static void the_loop_needs_nothing_but_the_callbacks(void **state)
{
    struct entry entries[60] = {0};
    static const char *const hosts[] = {"dual.test", "127.0.0.1", "six.test", "::1", "half.test", "four.test"};
    int live_port = 0, before = open_descriptors(), refused = closed_port();
    (void)state;
    int live = listen_on("203.0.113.1", &live_port);
    happy_multi *multi = new_multi();
    for (size_t i = 0; i < COUNT_OF(entries); i++)
        add(multi, hosts[i % 6], i % 6 == 4 ? live_port : i % 6 == 5 ? refused : dual_port, NULL, &entries[i]);
    drive_until(multi, 0);
    for (size_t i = 0; i < COUNT_OF(entries); i++) {
        assert_int_equal(entries[i].ended, 1);
        assert_int_equal(entries[i].status, i % 6 == 5 ? HAPPY_ESYSCALL : HAPPY_OK);
    }
    /* A loop without connects has nothing to watch and no timer: it can end. */
    assert_int_equal(loop.count, 0);
    assert_int_equal(loop.announced, loop.removed);
    assert_int_equal(loop.latest_timeout, -1);
    happy_multi_free(multi);
    close(live);
    check_descriptors(before);
}

static void spurious_calls_are_harmless(void **state)
{
    struct entry entries[2] = {0};
    int fds[2] = {-1, -1}, running = -1, unrelated = open("/dev/null", O_RDONLY | O_CLOEXEC);
    (void)state;
    happy_multi *multi = new_multi();
    add(multi, "192.0.2.77", 80, NULL, &entries[0]);
    happy_options options = HAPPY_OPTIONS_INIT;
    /* Longer than the calls below take. */
    options.open_timeout_ms = 6000;
    add(multi, "192.0.2.78", 80, &options, &entries[1]);
    turn(multi, 0);
    for (int i = 0, attempts = 0; i < loop.count; i++)
        if (loop.fds[i].events == POLLOUT)
            fds[attempts++] = loop.fds[i].fd;
    assert_true(fds[0] >= 0 && fds[1] >= 0);
    for (int i = 0; i < 50; i++) {
        /* SO_ERROR of a handshake that goes on is 0, as that of a connected socket. */
        assert_int_equal(happy_multi_socket_action(multi, fds[i % 2], HAPPY_POLL_OUT, &running), HAPPY_OK);
        assert_int_equal(running, 2);
        assert_int_equal(happy_multi_socket_action(multi, fds[i % 2], 0, &running), HAPPY_OK);
        assert_int_equal(happy_multi_socket_action(multi, HAPPY_SOCKET_TIMEOUT, 0, &running), HAPPY_OK);
    }
    running = 77;
    assert_int_equal(happy_multi_socket_action(multi, unrelated, HAPPY_POLL_IN, &running), HAPPY_ENOENT);
    assert_int_equal(happy_multi_socket_action(multi, 123456, HAPPY_POLL_IN, &running), HAPPY_ENOENT);
    assert_int_equal(happy_multi_socket_action(multi, -5, HAPPY_POLL_IN, &running), HAPPY_ENOENT);
    assert_int_equal(happy_multi_socket_action(multi, fds[0], 64, &running), HAPPY_EINVALID);
    assert_int_equal(happy_multi_assign(multi, unrelated, &running), HAPPY_ENOENT);
    assert_int_equal(running, 77);
    assert_int_equal(entries[0].ended + entries[1].ended, 0);
    /* The timer was told again each time, so the limit is kept all the same. */
    drive_until(multi, 1);
    assert_int_equal(entries[1].status, HAPPY_ETIMEOUT);
    happy_multi_free(multi);
    assert_int_equal(entries[0].status, HAPPY_ECANCELLED);
    assert_int_equal(loop.count, 0);
    assert_int_equal(loop.latest_timeout, -1);
    close(unrelated);
}

static void the_two_ways_do_not_mix(void **state)
{
    struct entry entry = {0};
    int running = 77;
    (void)state;
    happy_multi *multi = new_multi();
    add(multi, "192.0.2.77", 80, NULL, &entry);
    turn(multi, 0);
    assert_int_equal(happy_multi_dispatch(multi, &running), HAPPY_ESTATE);
    assert_int_equal(happy_multi_wait(multi, 0, &running), HAPPY_ESTATE);
    assert_int_equal(happy_multi_get_fd(multi), -1);
    assert_int_equal(happy_multi_set_socket_callback(multi, NULL, NULL), HAPPY_ESTATE);
    assert_int_equal(happy_multi_set_timer_callback(multi, NULL, NULL), HAPPY_ESTATE);
    assert_int_equal(running, 77);
    happy_multi_cancel(multi, entry.id);
    assert_int_equal(happy_multi_set_socket_callback(multi, NULL, NULL), HAPPY_OK);
    assert_int_equal(happy_multi_set_timer_callback(multi, NULL, NULL), HAPPY_OK);
    add(multi, "127.0.0.1", dual_port, NULL, &entry);
    for (running = 1; running > 0;)
        assert_int_equal(happy_multi_wait(multi, PATIENCE_MS, &running), HAPPY_OK);
    assert_int_equal(entry.status, HAPPY_OK);
    happy_multi_free(multi);
}

static void the_timer_follows_the_nearest_deadline(void **state)
{
    struct entry entries[3] = {0};
    (void)state;
    happy_multi *multi = new_multi();
    happy_options options = HAPPY_OPTIONS_INIT;
    options.open_timeout_ms = 60000;
    add(multi, "192.0.2.77", 80, &options, &entries[0]);
    /* Soon, and told once however many are added. */
    assert_int_equal(loop.latest_timeout, 0);
    options.open_timeout_ms = 30000;
    add(multi, "192.0.2.77", 80, &options, &entries[1]);
    assert_int_equal(loop.timer_calls, 1);
    turn(multi, 0);
    assert_true(loop.latest_timeout > 20000 && loop.latest_timeout <= 30000);
    assert_int_equal(happy_multi_cancel(multi, entries[1].id), HAPPY_OK);
    assert_true(loop.latest_timeout > 30000 && loop.latest_timeout <= 60000);
    assert_int_equal(happy_multi_cancel(multi, entries[0].id), HAPPY_OK);
    assert_int_equal(loop.latest_timeout, -1);
    happy_multi_free(multi);
}

/* ---- Inside callbacks -------------------------------------------------------------------------------------------- */

static struct entry inner, *victim;

static void drive_inside(happy_multi *multi, int fd, int what)
{
    (void)what;
    assert_int_equal(happy_multi_socket_action(multi, fd, HAPPY_POLL_OUT, NULL), HAPPY_EREENTRANT);
    assert_int_equal(happy_multi_socket_action(multi, HAPPY_SOCKET_TIMEOUT, 0, NULL), HAPPY_EREENTRANT);
}

static void drive_inside_timer(happy_multi *multi)
{
    drive_inside(multi, HAPPY_SOCKET_TIMEOUT, 0);
}

static void recursive_driving_is_refused(void **state)
{
    struct entry entry = {0};
    (void)state;
    happy_multi *multi = new_multi();
    loop.in_socket = drive_inside;
    loop.in_timer = drive_inside_timer;
    add(multi, "dual.test", dual_port, NULL, &entry);
    drive_until(multi, 0);
    assert_int_equal(entry.status, HAPPY_OK);
    happy_multi_free(multi);
}

static void add_inside(happy_multi *multi, int fd, int what)
{
    (void)fd, (void)what;
    loop.in_socket = NULL;
    add(multi, "127.0.0.1", dual_port, NULL, &inner);
}

static void add_inside_timer(happy_multi *multi)
{
    loop.in_timer = NULL;
    add(multi, "127.0.0.1", dual_port, NULL, &inner);
}

static void callbacks_may_add(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct entry entry = {0};
        memset(&inner, 0, sizeof inner);
        happy_multi *multi = new_multi();
        if (i == 0)
            loop.in_socket = add_inside;
        else
            loop.in_timer = add_inside_timer;
        add(multi, "dual.test", dual_port, NULL, &entry);
        drive_until(multi, 0);
        assert_int_equal(entry.ended, 1);
        assert_int_equal(inner.ended, 1);
        assert_int_equal(inner.status, HAPPY_OK);
        happy_multi_free(multi);
    }
}

static void cancel_inside(happy_multi *multi, int fd, int what)
{
    (void)fd;
    if (what == HAPPY_POLL_OUT) {
        loop.in_socket = NULL;
        assert_int_equal(happy_multi_cancel(multi, victim->id), HAPPY_OK);
        assert_int_equal(victim->ended, 0);
    }
}

static void cancel_inside_timer(happy_multi *multi)
{
    if (loop.latest_timeout > 0) {
        loop.in_timer = NULL;
        assert_int_equal(happy_multi_cancel(multi, victim->id), HAPPY_OK);
        assert_int_equal(victim->ended, 0);
    }
}

static void callbacks_may_cancel(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct entry entries[2] = {0};
        happy_options options = HAPPY_OPTIONS_INIT;
        options.open_timeout_ms = 60000;
        happy_multi *multi = new_multi();
        /* The one whose socket is announced, another one, any. */
        victim = &entries[i == 1];
        if (i < 2)
            loop.in_socket = cancel_inside;
        else
            loop.in_timer = cancel_inside_timer;
        add(multi, "192.0.2.77", 80, &options, &entries[0]);
        add(multi, "192.0.2.78", 80, &options, &entries[1]);
        drive_until(multi, 1);
        assert_int_equal(victim->ended, 1);
        assert_int_equal(victim->status, HAPPY_ECANCELLED);
        happy_multi_free(multi);
        assert_int_equal(entries[0].ended + entries[1].ended, 2);
        assert_int_equal(loop.count, 0);
    }
}

static void free_inside(happy_multi *multi, int fd, int what)
{
    (void)fd;
    if (what == HAPPY_POLL_OUT) {
        loop.in_socket = NULL;
        happy_multi_free(multi);
    }
}

static void free_inside_timer(happy_multi *multi)
{
    loop.in_timer = NULL;
    happy_multi_free(multi);
}

static void callbacks_may_free(void **state)
{
    int before = settled_descriptors();
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct entry entries[2] = {0};
        happy_multi *multi = new_multi();
        add(multi, "192.0.2.77", 80, NULL, &entries[0]);
        if (i == 0) {
            loop.in_socket = free_inside;
            add(multi, "192.0.2.78", 80, NULL, &entries[1]);
            assert_int_equal(turn(multi, 0), 0);
        } else {
            /* In the timer callback that an add calls. */
            turn(multi, 0);
            loop.in_timer = free_inside_timer;
            add(multi, "192.0.2.78", 80, NULL, &entries[1]);
        }
        for (int k = 0; k < 2; k++) {
            assert_int_equal(entries[k].ended, 1);
            assert_int_equal(entries[k].status, HAPPY_ECANCELLED);
        }
        assert_int_equal(loop.count, 0);
        check_descriptors(before);
    }
}

static void free_at_the_first(happy_multi *multi, int fd, int what)
{
    (void)fd;
    if (what != HAPPY_POLL_REMOVE) {
        loop.in_socket = NULL;
        happy_multi_free(multi);
    }
}

/* The sockets of lookups are announced like any other, of UDP and of TCP; no thread and no wake-up is in it. Callbacks may free
 * the handle from inside of their announcement too. */
static void sockets_of_lookups_are_announced(void **state)
{
    (void)state;
    wait_for_workers_to_leave();
    int before = open_descriptors();
    name_server_start();
    for (int i = 0; i < 3; i++) {
        struct entry entries[3] = {0};
        happy_multi *multi = new_multi();
        const char *names[] = {"both.test", "tc.test", i == 1 ? "silence.test" : "junk.test"};
        for (int k = 0; k < 3; k++)
            add(multi, names[k], dual_port, NULL, &entries[k]);
        if (i == 2)
            loop.in_socket = free_at_the_first;
        drive_until(multi, i == 1 ? 1 : 0);
        assert_int_equal(workers(), 0);
        for (int k = 0; k < 3; k++)
            assert_int_equal(entries[k].status, i == 2 ? HAPPY_ECANCELLED : HAPPY_OK);
        if (i == 1) {
            /* The wake-up, the socket of the lookup. */
            assert_int_equal(entries[2].ended, 0);
            assert_true(loop.count >= 2);
        }
        if (i != 2)
            happy_multi_free(multi);
        assert_int_equal(entries[2].ended, 1);
        assert_int_equal(loop.count, 0);
    }
    name_server_stop();
    assert_int_equal(open_descriptors(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_loop_needs_nothing_but_the_callbacks),
        cmocka_unit_test(spurious_calls_are_harmless),
        cmocka_unit_test(the_two_ways_do_not_mix),
        cmocka_unit_test(the_timer_follows_the_nearest_deadline),
        cmocka_unit_test(recursive_driving_is_refused),
        cmocka_unit_test(callbacks_may_add),
        cmocka_unit_test(callbacks_may_cancel),
        cmocka_unit_test(callbacks_may_free),
        cmocka_unit_test(sockets_of_lookups_are_announced),
    };
    return cmocka_run_group_tests_name("happy_multi by socket action", tests, open_servers, close_servers);
}
