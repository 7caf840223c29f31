/* happy_multi: names whose lookups hang, beside names whose lookups do not, with few threads for all of them. */
#define _GNU_SOURCE
#include "support.h"
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Every question for IPv6 waits until the script is released. IPv4 is answered at once: "far.test" with an address that never
 * answers, any other name with 127.0.0.1. */
static int half_silent_lookup(const char *node, const char *name, const struct addrinfo *hints, struct addrinfo **ret_res,
                              void *userdata)
{
    static struct script silent = {.six = {.delay_ms = -1, .gai_error = EAI_AGAIN}};
    struct addrinfo numeric = *hints;
    (void)userdata;
    if (hints->ai_family == AF_INET6)
        return script_lookup(node, name, hints, ret_res, &silent);
    return getaddrinfo(strcmp(node, "far.test") == 0 ? "192.0.2.77" : "127.0.0.1", name, &numeric, ret_res);
}

struct entry {
    int ended, status;
};

static void done(happy_multi *multi, uint64_t id, const happy_result *result, void *userdata)
{
    struct entry *entry = userdata;
    (void)multi, (void)id;
    entry->ended++;
    entry->status = result->status;
    if (result->fd >= 0)
        close(result->fd);
}

static void drive_until(happy_multi *multi, int left)
{
    double until = now_ms() + PATIENCE_MS;
    int running = left + 1;
    while (running > left && now_ms() < until)
        assert_int_equal(happy_multi_wait(multi, 1000, &running), HAPPY_OK);
    assert_int_equal(running, left);
}

/* The names that come first have their IPv4 answers, and nothing but questions that hang is left for the workers: the one that is
 * kept for questions that can wait has to stay free all the same, for the names that come later. */
static void names_that_come_later_find_a_worker_although_a_family_is_silent(void **state)
{
    struct entry far[10] = {{0}}, near[30] = {{0}};
    uint32_t before = happy_lookup_get_thread_limit();
    happy_options options = HAPPY_OPTIONS_INIT;
    happy_multi *multi = NULL;
    int port = 0, listener = listen_on("127.0.0.1", &port);
    (void)state;
    wait_for_workers_to_leave();
    script_hold();
    assert_int_equal(happy_lookup_set_thread_limit(4), HAPPY_OK);
    assert_int_equal(happy_multi_new(&multi), HAPPY_OK);
    options.lookup = half_silent_lookup;
    for (size_t i = 0; i < COUNT_OF(far); i++)
        assert_int_equal(happy_multi_add(multi, "far.test", service(port), &options, done, NULL, NULL, &far[i]), HAPPY_OK);
    /* Every worker takes what it may; and races have hastened what they need by now. */
    double until = now_ms() + 300;
    for (double left = 300; left > 0; left = until - now_ms())
        assert_int_equal(happy_multi_wait(multi, (int)left, NULL), HAPPY_OK);
    for (size_t i = 0; i < COUNT_OF(near); i++)
        assert_int_equal(happy_multi_add(multi, "near.test", service(port), &options, done, NULL, NULL, &near[i]), HAPPY_OK);
    drive_until(multi, COUNT_OF(far));
    for (size_t i = 0; i < COUNT_OF(near); i++) {
        assert_int_equal(near[i].ended, 1);
        assert_int_equal(near[i].status, HAPPY_OK);
    }
    assert_true(workers() <= 4);
    happy_multi_free(multi);
    for (size_t i = 0; i < COUNT_OF(far); i++)
        assert_int_equal(far[i].status, HAPPY_ECANCELLED);
    script_release();
    wait_for_running_lookups(0);
    assert_int_equal(happy_lookup_set_thread_limit(before), HAPPY_OK);
    close(listener);
    wait_for_workers_to_leave();
}

/* Whether a question about a name has come to a server that keeps silent. */
static bool was_asked_about(int server, const char *label)
{
    char packet[512];
    ssize_t length;
    bool seen = false;
    while ((length = recv(server, packet, sizeof packet, MSG_DONTWAIT)) > 0)
        seen |= memmem(packet, (size_t)length, label, strlen(label)) != NULL;
    return seen;
}

/* A server is asked about so many names at a time. Those that wait go on when the ones before them are cancelled,
 * although no answer ever comes. */
static void names_that_wait_for_a_server_go_on_when_others_are_cancelled(void **state)
{
    enum { MANY = 120 };
    uint64_t ids[MANY], last_id;
    struct entry entries[MANY] = {{0}}, last = {0};
    happy_multi *multi = NULL;
    int server = silent_dns_server(), running = 0;
    char name[64];
    (void)state;
    assert_int_equal(happy_multi_new(&multi), HAPPY_OK);
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "early-%d.test", i);
        assert_int_equal(happy_multi_add(multi, name, "80", NULL, done, &ids[i], NULL, &entries[i]), HAPPY_OK);
    }
    assert_int_equal(happy_multi_add(multi, "last-one.test", "80", NULL, done, &last_id, NULL, &last), HAPPY_OK);
    while (happy_multi_get_timeout_ms(multi) == 0)
        assert_int_equal(happy_multi_wait(multi, 0, &running), HAPPY_OK);
    assert_int_equal(running, MANY + 1);
    assert_false(was_asked_about(server, "last-one"));
    for (int i = 0; i < MANY; i++)
        assert_int_equal(happy_multi_cancel(multi, ids[i]), HAPPY_OK);
    /* Cancelling asks nobody: the others' turn comes with the next one. */
    assert_false(was_asked_about(server, "last-one"));
    assert_int_equal(happy_multi_get_timeout_ms(multi), 0);
    assert_int_equal(happy_multi_wait(multi, 0, &running), HAPPY_OK);
    assert_true(was_asked_about(server, "last-one"));
    assert_int_equal(running, 1);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(entries[i].ended, 1);
    happy_multi_free(multi);
    assert_int_equal(last.ended, 1);
    close(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_that_come_later_find_a_worker_although_a_family_is_silent),
        cmocka_unit_test(names_that_wait_for_a_server_go_on_when_others_are_cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
