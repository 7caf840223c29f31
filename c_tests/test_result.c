/* What a happy_result says: refusals, sentences, attempts of every size, and the names of codes. */
#define _GNU_SOURCE
#include "support.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void sentence_is(const happy_result *result, const char *expected)
{
    char text[256];
    int length = happy_result_message(result, text, sizeof text);
    assert_string_equal(text, expected);
    assert_int_equal(length, strlen(expected));
}

static void ended(happy_multi *multi, uint64_t id, const happy_result *result, void *userdata)
{
    (void)multi, (void)id;
    *(happy_result *)userdata = *result;
}

/* Each way in tells of a refusal in the same words. */
static void a_refusal_is_told_in_the_result(void **state)
{
    happy_options options = HAPPY_OPTIONS_INIT;
    happy_connect *connect = NULL;
    happy_multi *multi = NULL;
    uint64_t id = 77;
    (void)state;
    assert_int_equal(happy_multi_new(&multi), HAPPY_OK);
    options.open_timeout_ms = -2;
    for (int way = 0; way < 3; way++) {
        happy_result result = HAPPY_RESULT_INIT;
        errno = 0;
        if (way == 0)
            assert_int_equal(init_inetsock_happy("dual.test", "80", &options, &result), -1);
        else if (way == 1)
            assert_int_equal(happy_connect_new("dual.test", "80", &options, &connect, &result), HAPPY_EINVALID);
        else
            assert_int_equal(happy_multi_add(multi, "dual.test", "80", &options, ended, &id, &result, NULL), HAPPY_EINVALID);
        assert_int_equal(errno, EINVAL);
        assert_int_equal(result.status, HAPPY_EINVALID);
        assert_int_equal(result.fd, -1);
        assert_string_equal(result.argument, "open_timeout_ms");
        assert_string_equal(result.reason, "must be -1 (no limit) or more");
        assert_int_equal(result.attempt_size, sizeof(happy_attempt));
        sentence_is(&result, "open_timeout_ms: must be -1 (no limit) or more");
        assert_string_equal(happy_error_message(), "open_timeout_ms: must be -1 (no limit) or more");
    }
    assert_null(connect);
    assert_int_equal(id, 77);
    happy_result result = HAPPY_RESULT_INIT;
    assert_int_equal(happy_connect_new("", "80", NULL, &connect, &result), HAPPY_EINVALID);
    assert_int_equal(result.gai_error, EAI_NONAME);
    sentence_is(&result, "remote_host: the host is empty");
    assert_int_equal(happy_connect_new("dual.test", "70000", NULL, &connect, &result), HAPPY_EINVALID);
    assert_int_equal(result.gai_error, EAI_SERVICE);
    assert_string_equal(result.argument, "remote_service");
    assert_int_equal(happy_multi_add(multi, "dual.test", "80", NULL, NULL, NULL, &result, NULL), HAPPY_EINVALID);
    assert_string_equal(result.argument, "done");
    assert_int_equal(happy_multi_add(NULL, "dual.test", "80", NULL, ended, NULL, &result, NULL), HAPPY_EINVALID);
    sentence_is(&result, "self: NULL");
    assert_int_equal(happy_connect_new("dual.test", "80", NULL, NULL, &result), HAPPY_EINVALID);
    sentence_is(&result, "ret_connect: NULL");
    result.status = HAPPY_OK;
    assert_int_equal(happy_connect_take_result(NULL, &result), -1);
    assert_int_equal(result.status, HAPPY_EINVALID);
    sentence_is(&result, "self: NULL");
    /* One that cannot be written is refused, and not written. */
    result.size = 8;
    result.status = 77;
    assert_int_equal(happy_connect_new("dual.test", "80", NULL, &connect, &result), HAPPY_EINVALID);
    assert_int_equal(result.status, 77);
    assert_non_null(strstr(happy_error_message(), "ret_result"));
    happy_multi_free(multi);
}

static void the_sentence_says_what_happened(void **state)
{
    int port = 0, server = listen_on("127.0.0.1", &port), closed = closed_port();
    happy_options options = HAPPY_OPTIONS_INIT;
    happy_result result = HAPPY_RESULT_INIT;
    char expected[128];
    (void)state;
    int fd = init_inetsock_happy("127.0.0.1", service(port), NULL, &result);
    assert_true(fd >= 0);
    close(fd);
    snprintf(expected, sizeof expected, "connected to 127.0.0.1:%d", port);
    sentence_is(&result, expected);
    assert_int_equal(init_inetsock_happy("::1", service(closed), NULL, &result), -1);
    snprintf(expected, sizeof expected, "connect(2) to [::1]:%d: Connection refused", closed);
    sentence_is(&result, expected);
    assert_string_equal(happy_error_message(), expected);
    errno = 0;
    assert_int_equal(init_inetsock_happy("no.such.test", "80", NULL, &result), -1);
    /* What perror(3) says of it is true. */
    assert_true(errno == ENXIO || errno == EAGAIN);
    snprintf(expected, sizeof expected, "remote_host: %s", gai_strerror(result.gai_error));
    sentence_is(&result, expected);
    options.open_timeout_ms = 3000;
    assert_int_equal(init_inetsock_happy("192.0.2.77", "80", &options, &result), -1);
    sentence_is(&result, "open_timeout_ms was reached, last at 192.0.2.77:80");
    options = (happy_options)HAPPY_OPTIONS_INIT;
    options.local_host = "203.0.113.250";
    assert_int_equal(init_inetsock_happy("127.0.0.1", service(port), &options, &result), -1);
    assert_string_equal(result.syscall, "bind(2)");
    snprintf(expected, sizeof expected, "bind(2) for 127.0.0.1:%d: Cannot assign requested address", port);
    sentence_is(&result, expected);
    close(server);
}

static void the_sentence_is_cut_as_snprintf_cuts(void **state)
{
    happy_result result = HAPPY_RESULT_INIT;
    char text[] = "untouched";
    (void)state;
    result.status = HAPPY_ECANCELLED;
    assert_int_equal(happy_result_message(&result, NULL, 0), 9);
    assert_int_equal(happy_result_message(&result, text, 0), 9);
    assert_string_equal(text, "untouched");
    assert_int_equal(happy_result_message(&result, text, 1), 9);
    assert_string_equal(text, "");
    assert_int_equal(happy_result_message(&result, text, 5), 9);
    assert_string_equal(text, "canc");
    assert_int_equal(happy_result_message(&result, text, sizeof text), 9);
    assert_string_equal(text, "cancelled");
    errno = 0;
    assert_int_equal(happy_result_message(NULL, text, sizeof text), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(happy_result_message(&result, NULL, 5), -1);
    result.size = 8;
    assert_int_equal(happy_result_message(&result, text, sizeof text), -1);
    assert_string_equal(text, "cancelled");
}

/* A program that was compiled against a library whose happy_attempt is larger: the stride is its own. */
static void attempts_have_the_size_of_the_caller(void **state)
{
    struct later_attempt {
        happy_attempt attempt;
        uint64_t later;
    } attempts[4];
    happy_result result = HAPPY_RESULT_INIT;
    int closed = closed_port();
    (void)state;
    memset(attempts, 0x55, sizeof attempts);
    result.attempts = &attempts[0].attempt;
    result.attempts_capacity = 4;
    result.attempt_size = sizeof attempts[0];
    assert_int_equal(init_inetsock_happy(NULL, service(closed), NULL, &result), -1);
    assert_int_equal(result.attempts_count, 2);
    assert_int_equal(attempts[0].attempt.family, AF_INET6);
    assert_int_equal(attempts[1].attempt.family, AF_INET);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(attempts[i].attempt.outcome, HAPPY_OUTCOME_FAILED);
        assert_int_equal(attempts[i].later, 0x5555555555555555);
        assert_ptr_equal(happy_result_get_attempt(&result, (size_t)i), &attempts[i].attempt);
    }
    assert_null(happy_result_get_attempt(&result, 2));
    assert_null(happy_result_get_attempt(NULL, 0));
    result.attempts_capacity = 1;
    assert_null(happy_result_get_attempt(&result, 1));
    /* Smaller than it ever was, or in between: no struct. */
    static const size_t sizes[] = {0, 8, sizeof(happy_attempt) - 8, sizeof(happy_attempt) + 1, 1 << 20};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        result.attempt_size = sizes[i];
        assert_int_equal(init_inetsock_happy("127.0.0.1", service(closed), NULL, &result), -1);
        assert_int_equal(errno, EINVAL);
        assert_non_null(strstr(happy_error_message(), "attempt_size"));
    }
    /* Without room for attempts it does not matter. */
    result.attempts = NULL;
    assert_int_equal(init_inetsock_happy("127.0.0.1", service(closed), NULL, &result), -1);
    assert_int_equal(errno, ECONNREFUSED);
}

struct seen {
    uint32_t count;
    int ended;
};

static void look_at_attempts(happy_multi *multi, uint64_t id, const happy_result *result, void *userdata)
{
    struct seen *seen = userdata;
    (void)multi, (void)id;
    seen->ended++;
    while (happy_result_get_attempt(result, seen->count))
        assert_int_equal(happy_result_get_attempt(result, seen->count++)->outcome, HAPPY_OUTCOME_FAILED);
    assert_int_equal(seen->count, result->attempts_count);
}

static void a_done_callback_finds_its_attempts(void **state)
{
    struct seen seen = {0, 0};
    happy_multi *multi = NULL;
    int running = 1;
    (void)state;
    assert_int_equal(happy_multi_new(&multi), HAPPY_OK);
    assert_int_equal(happy_multi_add(multi, NULL, service(closed_port()), NULL, look_at_attempts, NULL, NULL, &seen),
                     HAPPY_OK);
    while (running > 0)
        assert_int_equal(happy_multi_wait(multi, PATIENCE_MS, &running), HAPPY_OK);
    assert_int_equal(seen.ended, 1);
    assert_int_equal(seen.count, 2);
    happy_multi_free(multi);
}

static void it_says_whether_the_first_family_was_given_up(void **state)
{
    happy_result result = HAPPY_RESULT_INIT;
    int port = 0, server = listen_on("127.0.0.1", &port);
    (void)state;
    int fd = init_inetsock_happy(NULL, service(port), NULL, &result);
    check_socket(fd, false);
    close(fd);
    assert_int_equal(result.attempts_count, 2);
    assert_int_equal(result.fell_back, 1);
    fd = init_inetsock_happy("127.0.0.1", service(port), NULL, &result);
    check_socket(fd, false);
    close(fd);
    assert_int_equal(result.fell_back, 0);
    assert_int_equal(init_inetsock_happy(NULL, service(closed_port()), NULL, &result), -1);
    assert_int_equal(result.fell_back, 0);
    close(server);
}

static void codes_have_names(void **state)
{
    (void)state;
    for (int i = HAPPY_OUTCOME_RUNNING; i <= HAPPY_OUTCOME_ABANDONED; i++)
        assert_string_not_equal(happy_outcome_str(i), happy_outcome_str(-1));
    for (int i = HAPPY_LIMIT_NONE; i <= HAPPY_LIMIT_OPEN; i++)
        assert_string_not_equal(happy_limit_str(i), happy_limit_str(-1));
    for (int i = HAPPY_TRACE_LOOKUP_STARTED; i <= HAPPY_TRACE_FINISHED; i++)
        assert_string_not_equal(happy_trace_kind_str(i), happy_trace_kind_str(-1));
    assert_string_equal(happy_limit_str(HAPPY_LIMIT_CONNECT), "connect_timeout_ms");
    assert_non_null(happy_outcome_str(INT32_MAX));
    assert_non_null(happy_limit_str(INT32_MIN));
    assert_non_null(happy_trace_kind_str(INT32_MIN));
}

static void the_library_has_the_version_of_its_header(void **state)
{
    char expected[64];
    (void)state;
    snprintf(expected, sizeof expected, "%d.%d.%d", HAPPYSOCK_VERSION_MAJOR, HAPPYSOCK_VERSION_MINOR, HAPPYSOCK_VERSION_PATCH);
    assert_string_equal(happy_version(), expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_refusal_is_told_in_the_result),
        cmocka_unit_test(the_sentence_says_what_happened),
        cmocka_unit_test(the_sentence_is_cut_as_snprintf_cuts),
        cmocka_unit_test(attempts_have_the_size_of_the_caller),
        cmocka_unit_test(a_done_callback_finds_its_attempts),
        cmocka_unit_test(it_says_whether_the_first_family_was_given_up),
        cmocka_unit_test(codes_have_names),
        cmocka_unit_test(the_library_has_the_version_of_its_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
