/* happy_multi, used from inside its own callbacks. */
#define _GNU_SOURCE
#include "multi_support.h"

static void cancel_other(happy_multi *multi, struct entry *entry)
{
    int before = entry->other->ended;
    assert_int_equal(happy_multi_cancel(multi, entry->id), HAPPY_ENOENT);
    assert_int_equal(happy_multi_cancel(multi, entry->other->id), HAPPY_OK);
    assert_int_equal(happy_multi_cancel(multi, entry->other->id), HAPPY_OK);
    /* Its own callback is not called inside of this one. */
    assert_int_equal(entry->other->ended, before);
}

static void cancel_in_a_done_callback(void **state)
{
    struct entry entries[2] = {0};
    (void)state;
    happy_multi *multi = NULL;
    assert_int_equal(happy_multi_new(&multi), HAPPY_OK);
    entries[0].then = cancel_other;
    entries[0].other = &entries[1];
    add(multi, "192.0.2.77", 80, &entries[1]);
    add(multi, "127.0.0.1", dual_port, &entries[0]);
    drive_until(multi, 0);
    assert_int_equal(entries[0].ended + entries[1].ended, 2);
    assert_int_equal(entries[1].status, HAPPY_ECANCELLED);
    /* In a done callback that a cancel calls. */
    entries[0].ended = entries[1].ended = 0;
    add(multi, "192.0.2.77", 80, &entries[1]);
    add(multi, "192.0.2.77", 80, &entries[0]);
    happy_multi_dispatch(multi, NULL);
    assert_int_equal(happy_multi_cancel(multi, entries[0].id), HAPPY_OK);
    assert_int_equal(entries[0].ended, 1);
    assert_int_equal(entries[1].ended, 1);
    happy_multi_free(multi);
}

struct in_trace {
    happy_multi *multi;
    struct entry *entry;
    int kind;
    bool free_it;
};

static void act_in_trace(const happy_trace_event *event, struct script *script)
{
    struct in_trace *in = script->context;
    if (event->kind != in->kind)
        return;
    assert_int_equal(happy_multi_dispatch(in->multi, NULL), HAPPY_EREENTRANT);
    if (in->free_it)
        happy_multi_free(in->multi);
    else
        assert_int_equal(happy_multi_cancel(in->multi, in->entry->id), HAPPY_OK);
}

/* From inside the trace callback, at each step that a race to a silent host takes. */
static void cancel_and_free_in_a_trace_callback(void **state)
{
    static const int kinds[] = {HAPPY_TRACE_LOOKUP_STARTED, HAPPY_TRACE_CANDIDATE_ADDED, HAPPY_TRACE_ATTEMPT_STARTED,
                                HAPPY_TRACE_NEXT_ATTEMPT_TIMER_SET};
    (void)state;
    for (size_t i = 0; i < 2 * COUNT_OF(kinds); i++) {
        struct entry entries[2] = {0};
        happy_multi *multi = NULL;
        assert_int_equal(happy_multi_new(&multi), HAPPY_OK);
        struct in_trace in = {multi, &entries[0], kinds[i / 2], i % 2};
        static struct script scripts[2 * COUNT_OF(kinds)];
        struct script *script = &scripts[i];
        script->six.addresses[0] = "2001:db8::77";
        script->four.addresses[0] = "192.0.2.77";
        script->on_event = act_in_trace;
        script->context = &in;
        happy_options options = script_options(script);
        assert_int_equal(add_with(multi, "silent.test", 80, &options, &entries[0]), HAPPY_OK);
        add(multi, "192.0.2.77", 80, &entries[1]);
        int running = 2;
        double until = now_ms() + PATIENCE_MS;
        while (entries[0].ended == 0 && now_ms() < until)
            assert_int_equal(happy_multi_wait(multi, 1000, &running), HAPPY_OK);
        assert_int_equal(entries[0].ended, 1);
        assert_int_equal(entries[0].status, HAPPY_ECANCELLED);
        assert_int_equal(running, in.free_it ? 0 : 1);
        if (!in.free_it)
            happy_multi_free(multi);
        assert_int_equal(entries[1].ended, 1);
        assert_int_equal(entries[1].status, HAPPY_ECANCELLED);
        wait_for_userdata_frees(script, 1);
    }
}

static void free_it(happy_multi *multi, struct entry *entry)
{
    uint64_t id = 77;
    (void)entry;
    happy_multi_free(multi);
    happy_multi_free(multi);
    /* What is refused keeps its userdata. */
    struct script script = {0};
    happy_options options = script_options(&script);
    happy_result result = HAPPY_RESULT_INIT;
    assert_int_equal(happy_multi_add(multi, "127.0.0.1", "80", &options, done, &id, &result, NULL), HAPPY_ESTATE);
    assert_int_equal(result.status, HAPPY_ESTATE);
    assert_int_equal(script.userdata_frees, 0);
    assert_int_equal(id, 77);
}

static void free_in_a_done_callback(void **state)
{
    struct entry entries[20] = {0};
    int before = settled_descriptors();
    (void)state;
    happy_multi *multi = NULL;
    assert_int_equal(happy_multi_new(&multi), HAPPY_OK);
    for (size_t i = 0; i < COUNT_OF(entries); i++) {
        entries[i].then = free_it;
        add(multi, i == 7 ? "127.0.0.1" : "192.0.2.77", dual_port, &entries[i]);
    }
    int running = 1;
    while (entries[7].ended == 0)
        assert_int_equal(happy_multi_wait(multi, 1000, &running), HAPPY_OK);
    assert_int_equal(running, 0);
    for (size_t i = 0; i < COUNT_OF(entries); i++) {
        assert_int_equal(entries[i].ended, 1);
        assert_int_equal(entries[i].status, i == 7 ? HAPPY_OK : HAPPY_ECANCELLED);
    }
    check_descriptors(before);
}

static void add_next(happy_multi *multi, struct entry *entry)
{
    int *left = entry->context;
    if ((*left)-- > 0)
        add(multi, *left % 2 ? "127.0.0.1" : "dual.test", dual_port, entry);
}

static void add_in_a_done_callback(void **state)
{
    int left = 50;
    struct entry entry = {.then = add_next, .context = &left};
    (void)state;
    happy_multi *multi = NULL;
    assert_int_equal(happy_multi_new(&multi), HAPPY_OK);
    int fd = happy_multi_get_fd(multi), running = 1;
    add(multi, "127.0.0.1", dual_port, &entry);
    while (running > 0) {
        assert_true(wait_readable(fd, PATIENCE_MS));
        assert_int_equal(happy_multi_dispatch(multi, &running), HAPPY_OK);
    }
    assert_int_equal(entry.ended, 51);
    happy_multi_free(multi);
}

static void drive_inside(happy_multi *multi, struct entry *entry)
{
    int running = 77;
    (void)entry;
    assert_int_equal(happy_multi_dispatch(multi, &running), HAPPY_EREENTRANT);
    assert_int_equal(happy_multi_wait(multi, 0, &running), HAPPY_EREENTRANT);
    assert_int_equal(happy_multi_socket_action(multi, HAPPY_SOCKET_TIMEOUT, 0, &running), HAPPY_EREENTRANT);
    assert_int_equal(running, 77);
    assert_true(happy_multi_get_timeout_ms(multi) >= -1);
    assert_true(happy_multi_get_fd(multi) >= 0);
}

static void recursive_driving_is_refused(void **state)
{
    struct entry entry = {.then = drive_inside};
    (void)state;
    happy_multi *multi = NULL;
    assert_int_equal(happy_multi_new(&multi), HAPPY_OK);
    add(multi, "127.0.0.1", dual_port, &entry);
    drive_until(multi, 0);
    add(multi, "192.0.2.77", 80, &entry);
    assert_int_equal(happy_multi_cancel(multi, entry.id), HAPPY_OK);
    add(multi, "192.0.2.77", 80, &entry);
    happy_multi_free(multi);
    assert_int_equal(entry.ended, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cancel_in_a_done_callback),
        cmocka_unit_test(cancel_and_free_in_a_trace_callback),
        cmocka_unit_test(free_in_a_done_callback),
        cmocka_unit_test(add_in_a_done_callback),
        cmocka_unit_test(recursive_driving_is_refused),
    };
    return cmocka_run_group_tests_name("happy_multi from inside its callbacks", tests, open_servers, close_servers);
}
