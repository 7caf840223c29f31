/* What threads may do: be cancelled by pthread_cancel in any wait, drive a handle one after the other, and be
 * told when they come at once. Also what a callback of happy_multi_add may do, and how idle workers end. */
#define _GNU_SOURCE
#include "support.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- pthread_cancel ------------------------------------------------------------------------------------ */

/* A thread that calls one function of the library and then comes to a cancellation point. */
struct waiter {
    void (*call)(void *object);
    void *object;
    sem_t begins;
    /* Set after the call has returned, before the cancellation point. */
    _Atomic bool returned;
};

static void *wait_there(void *argument)
{
    struct waiter *waiter = argument;
    sem_post(&waiter->begins);
    waiter->call(waiter->object);
    waiter->returned = true;
    pthread_testcancel();
    return NULL;
}

/* Cancels the thread while it is in the call, ends the call, and checks that the thread ended as a cancelled
 * one, after it. */
static void check_cancelled_after(void (*call)(void *), void *object, void (*end)(void *))
{
    struct waiter waiter = {.call = call, .object = object};
    pthread_t thread;
    void *ended_with = NULL;
    sem_init(&waiter.begins, 0, 0);
    assert_int_equal(pthread_create(&thread, NULL, wait_there, &waiter), 0);
    sem_wait(&waiter.begins);
    /* It may not have come into the call yet: then it is cancelled on the way, which must be the same. */
    usleep(20000);
    assert_int_equal(pthread_cancel(thread), 0);
    usleep(20000);
    assert_false(waiter.returned);
    end(object);
    assert_int_equal(pthread_join(thread, &ended_with), 0);
    assert_true(waiter.returned);
    assert_ptr_equal(ended_with, PTHREAD_CANCELED);
    sem_destroy(&waiter.begins);
}

static void wait_for_lookup(void *lookup)
{
    happy_lookup_wait(lookup);
}

static void end_lookup(void *lookup)
{
    happy_lookup_cancel(lookup);
}

static void a_thread_is_cancelled_after_a_lookups_wait(void **state)
{
    int dns = silent_dns_server(), descriptors = open_descriptors();
    happy_lookup *lookup = NULL;
    struct addrinfo *list = NULL;
    (void)state;
    assert_int_equal(happy_lookup_new("hangs.test", "80", NULL, -1, &lookup), HAPPY_OK);
    assert_int_equal(happy_lookup_start(lookup), HAPPY_OK);
    check_cancelled_after(wait_for_lookup, lookup, end_lookup);
    assert_int_equal(happy_lookup_take_result(lookup, &list), EAI_SYSTEM);
    assert_int_equal(errno, ECANCELED);
    happy_lookup_unref(lookup);
    close(dns);
    check_descriptors(descriptors - 1);
}

static void wait_for_connect(void *connect)
{
    happy_connect_wait(connect);
}

static void end_connect(void *connect)
{
    happy_connect_cancel(connect);
}

static void a_thread_is_cancelled_after_a_connects_wait(void **state)
{
    /* The addresses swallow what they are sent: it waits in ppoll(2), and with the descriptor made, in
     * epoll_wait(2). */
    (void)state;
    for (int with_descriptor = 0; with_descriptor < 2; with_descriptor++) {
        int descriptors = settled_descriptors();
        happy_connect *connect = NULL;
        happy_result result = HAPPY_RESULT_INIT;
        assert_int_equal(happy_connect_new("192.0.2.77", "80", NULL, &connect, NULL), HAPPY_OK);
        if (with_descriptor)
            assert_true(happy_connect_get_fd(connect) >= 0);
        check_cancelled_after(wait_for_connect, connect, end_connect);
        assert_int_equal(happy_connect_take_result(connect, &result), -1);
        assert_int_equal(result.status, HAPPY_ECANCELLED);
        happy_connect_free(connect);
        check_descriptors(descriptors);
    }
}

static void wait_for_multi(void *multi)
{
    int running = 0;
    happy_multi_wait(multi, -1, &running);
}

static void end_multi(void *multi)
{
    happy_multi_wakeup(multi);
}

static void a_thread_is_cancelled_after_the_wait_of_many(void **state)
{
    int descriptors = settled_descriptors();
    happy_multi *multi = NULL;
    (void)state;
    assert_int_equal(happy_multi_new(&multi), HAPPY_OK);
    check_cancelled_after(wait_for_multi, multi, end_multi);
    happy_multi_free(multi);
    check_descriptors(descriptors);
}

/* The blocking calls cannot be ended from outside: their own limit does, and not before they were cancelled. */
static void look_up(void *code)
{
    struct addrinfo *list = NULL;
    *(int *)code = rb_getaddrinfo_happy("hangs.test", "80", NULL, &list, 3000);
}

static void connect_to(void *status)
{
    happy_options options = HAPPY_OPTIONS_INIT;
    happy_result result = HAPPY_RESULT_INIT;
    options.open_timeout_ms = 3000;
    init_inetsock_happy("192.0.2.77", "80", &options, &result);
    *(int *)status = result.status;
}

static void leave(void *object)
{
    (void)object;
}

static void a_thread_is_cancelled_after_the_blocking_calls(void **state)
{
    int dns = silent_dns_server(), answer = 0;
    (void)state;
    check_cancelled_after(look_up, &answer, leave);
    assert_int_equal(answer, EAI_SYSTEM);
    check_cancelled_after(connect_to, &answer, leave);
    assert_int_equal(answer, HAPPY_ETIMEOUT);
    close(dns);
}

/* ---- One handle, two threads --------------------------------------------------------------------------- */

/* What a second thread is answered. */
struct visit {
    void *object;
    int statuses[8], errnos[2], ends;
};

static void *visit_connect(void *argument)
{
    struct visit *visit = argument;
    happy_result result = HAPPY_RESULT_INIT;
    visit->statuses[0] = happy_connect_dispatch(visit->object);
    visit->statuses[1] = happy_connect_wait(visit->object);
    visit->statuses[2] = happy_connect_get_timeout_ms(visit->object);
    visit->statuses[3] = happy_connect_get_fd(visit->object);
    visit->errnos[0] = errno;
    visit->statuses[4] = happy_connect_take_result(visit->object, &result);
    visit->errnos[1] = errno;
    visit->statuses[5] = result.status;
    return NULL;
}

static void on_another_thread(void *(*body)(void *), void *argument)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, body, argument), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

/* The trace is the place where another thread finds the first one inside. */
static void visit_from_the_trace(const happy_trace_event *event, void *userdata)
{
    if (event->kind == HAPPY_TRACE_ATTEMPT_STARTED)
        on_another_thread(visit_connect, userdata);
}

static void a_second_thread_changes_nothing_in_a_connect(void **state)
{
    int port = 0, server = listen_on("127.0.0.1", &port);
    happy_options options = HAPPY_OPTIONS_INIT;
    struct visit visit = {.object = NULL};
    happy_connect *connect = NULL;
    (void)state;
    options.trace = visit_from_the_trace;
    options.userdata = &visit;
    assert_int_equal(happy_connect_new("127.0.0.1", service(port), &options, &connect, NULL), HAPPY_OK);
    visit.object = connect;
    assert_int_equal(happy_connect_wait(connect), HAPPY_OK);
    assert_int_equal(visit.statuses[0], HAPPY_EREENTRANT);
    assert_int_equal(visit.statuses[1], HAPPY_EREENTRANT);
    assert_int_equal(visit.statuses[2], -1);
    assert_int_equal(visit.statuses[3], -1);
    assert_int_equal(visit.errnos[0], EBUSY);
    assert_int_equal(visit.statuses[4], -1);
    assert_int_equal(visit.errnos[1], EBUSY);
    assert_int_equal(visit.statuses[5], HAPPY_EREENTRANT);
    int fd = happy_connect_take_result(connect, NULL);
    check_socket(fd, false);
    close(fd);
    happy_connect_free(connect);
    close(server);
}

static void *dispatch_connect(void *connect)
{
    happy_connect_dispatch(connect);
    return NULL;
}

static void *take_connect(void *connect)
{
    return (void *)(intptr_t)happy_connect_take_result(connect, NULL);
}

static void two_threads_drive_a_connect_in_turn(void **state)
{
    int port = 0, server = listen_on("127.0.0.1", &port);
    happy_connect *connect = NULL;
    pthread_t thread;
    void *fd = NULL;
    (void)state;
    assert_int_equal(happy_connect_new("dual.test", service(port), NULL, &connect, NULL), HAPPY_OK);
    on_another_thread(dispatch_connect, connect);
    assert_int_equal(happy_connect_wait(connect), HAPPY_OK);
    assert_int_equal(pthread_create(&thread, NULL, take_connect, connect), 0);
    assert_int_equal(pthread_join(thread, &fd), 0);
    check_socket((int)(intptr_t)fd, false);
    close((int)(intptr_t)fd);
    happy_connect_free(connect);
    close(server);
}

static void count_end(happy_multi *multi, uint64_t id, const happy_result *result, void *userdata)
{
    (void)multi, (void)id, (void)result;
    ++*(int *)userdata;
}

static void *visit_multi(void *argument)
{
    struct visit *visit = argument;
    happy_multi *multi = visit->object;
    happy_result result = HAPPY_RESULT_INIT;
    uint64_t id = 77;
    int running = 77;
    visit->statuses[0] = happy_multi_dispatch(multi, &running);
    visit->statuses[1] = happy_multi_wait(multi, 0, &running);
    visit->statuses[2] = happy_multi_add(multi, "127.0.0.1", "80", NULL, count_end, &id, &result, &visit->ends);
    visit->statuses[3] = result.status;
    visit->statuses[4] = happy_multi_cancel(multi, 1);
    visit->statuses[5] = happy_multi_set_max_attempts(multi, 1);
    visit->statuses[6] = happy_multi_get_timeout_ms(multi);
    visit->statuses[7] = happy_multi_get_fd(multi);
    visit->errnos[0] = errno;
    visit->errnos[1] = running == 77 && id == 77;
    /* This one is for any thread, and this one must not come now: it does nothing. */
    happy_multi_wakeup(multi);
    happy_multi_free(multi);
    return NULL;
}

static void visit_at_the_end(happy_multi *multi, uint64_t id, const happy_result *result, void *userdata)
{
    struct visit *visit = userdata;
    (void)id;
    visit->object = multi;
    if (result->fd >= 0)
        close(result->fd);
    on_another_thread(visit_multi, visit);
}

static void a_second_thread_changes_nothing_among_many(void **state)
{
    int port = 0, server = listen_on("127.0.0.1", &port);
    struct visit visit = {.object = NULL};
    happy_multi *multi = NULL;
    int running = 1;
    (void)state;
    assert_int_equal(happy_multi_new(&multi), HAPPY_OK);
    assert_int_equal(
        happy_multi_add(multi, "127.0.0.1", service(port), NULL, visit_at_the_end, NULL, NULL, &visit), HAPPY_OK);
    while (running > 0)
        assert_int_equal(happy_multi_wait(multi, PATIENCE_MS, &running), HAPPY_OK);
    for (int i = 0; i < 6; i++)
        assert_int_equal(visit.statuses[i], HAPPY_EREENTRANT);
    assert_int_equal(visit.statuses[6], -1);
    assert_int_equal(visit.statuses[7], -1);
    assert_int_equal(visit.errnos[0], EBUSY);
    assert_true(visit.errnos[1]);
    assert_int_equal(visit.ends, 0);
    /* The handle is as it was, and another thread may drive it now, add to it and free it. */
    on_another_thread(visit_multi, &visit);
    assert_int_equal(visit.statuses[0], HAPPY_OK);
    assert_int_equal(visit.statuses[2], HAPPY_OK);
    assert_int_equal(visit.ends, 1);
    close(server);
}

/* ---- Freeing from inside an add ------------------------------------------------------------------------ */

static int ended_with;

static void note_end(happy_multi *multi, uint64_t id, const happy_result *result, void *userdata)
{
    (void)multi, (void)id, (void)userdata;
    ended_with = result->status;
}

static void free_in_timer(happy_multi *multi, int timeout_ms, void *userdata)
{
    (void)userdata;
    if (timeout_ms >= 0)
        happy_multi_free(multi);
}

static void the_timer_callback_of_an_add_may_free(void **state)
{
    int descriptors = settled_descriptors();
    happy_multi *multi = NULL;
    (void)state;
    ended_with = HAPPY_OK;
    assert_int_equal(happy_multi_new(&multi), HAPPY_OK);
    assert_int_equal(happy_multi_set_timer_callback(multi, free_in_timer, NULL), HAPPY_OK);
    assert_int_equal(happy_multi_add(multi, "192.0.2.77", "80", NULL, note_end, NULL, NULL, NULL), HAPPY_OK);
    assert_int_equal(ended_with, HAPPY_ECANCELLED);
    check_descriptors(descriptors);
}

/* ---- Idle workers -------------------------------------------------------------------------------------- */

static void idle_workers_end_when_they_are_told(void **state)
{
    struct addrinfo *list = NULL;
    (void)state;
    look_up_by_libc(true);
    assert_int_equal(rb_getaddrinfo_happy("dual.test", "80", NULL, &list, PATIENCE_MS), 0);
    freeaddrinfo(list);
    assert_true(workers() >= 1);
    /* The worker is on its way to its seat, and is told when it sits. */
    for (double until = now_ms() + PATIENCE_MS; happy_lookup_end_idle_workers() != HAPPY_OK;)
        assert_true(now_ms() < until);
    assert_int_equal(workers(), 0);
    /* Nothing is left to tell, and later lookups make new ones. */
    assert_int_equal(happy_lookup_end_idle_workers(), HAPPY_OK);
    assert_int_equal(rb_getaddrinfo_happy("dual.test", "80", NULL, &list, PATIENCE_MS), 0);
    freeaddrinfo(list);
    look_up_by_libc(false);
}

static void a_worker_at_a_lookup_is_not_waited_for(void **state)
{
    int dns = silent_dns_server();
    happy_lookup *lookup = NULL;
    (void)state;
    look_up_by_libc(true);
    assert_int_equal(happy_lookup_new("hangs.test", "80", NULL, -1, &lookup), HAPPY_OK);
    assert_int_equal(happy_lookup_start(lookup), HAPPY_OK);
    look_up_by_libc(false);
    double began = now_ms();
    assert_int_equal(happy_lookup_end_idle_workers(), HAPPY_EAGAIN);
    assert_true(now_ms() - began < 5000);
    assert_int_equal(happy_lookup_dispatch(lookup), HAPPY_EAGAIN);
    assert_true(workers() >= 1);
    happy_lookup_unref(lookup);
    close(dns);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_is_cancelled_after_a_lookups_wait),
        cmocka_unit_test(a_thread_is_cancelled_after_a_connects_wait),
        cmocka_unit_test(a_thread_is_cancelled_after_the_wait_of_many),
        cmocka_unit_test(a_thread_is_cancelled_after_the_blocking_calls),
        cmocka_unit_test(a_second_thread_changes_nothing_in_a_connect),
        cmocka_unit_test(two_threads_drive_a_connect_in_turn),
        cmocka_unit_test(a_second_thread_changes_nothing_among_many),
        cmocka_unit_test(the_timer_callback_of_an_add_may_free),
        cmocka_unit_test(idle_workers_end_when_they_are_told),
        cmocka_unit_test(a_worker_at_a_lookup_is_not_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
