/* Service bindings (RFC 9460): a connect follows them to another name and port, and the result says what they say. */
#define _GNU_SOURCE
#include "name_server.h"
#include "servers.h"
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What the binding of svc.test needs: its target, all of its ids, what ECH needs. */
#define TARGET "four.svc.test"
#define ALL_IDS "h2,h3,http/1.1"
#define NEEDED (sizeof TARGET + sizeof ALL_IDS + SERVICE_ECH_LENGTH)

/* Nobody listens at the host's own port: whoever connects has followed the binding. */
static int own_port;

static int start(void **state)
{
    if (start_servers(state) != 0)
        return -1;
    own_port = closed_port();
    name_server_set_service_port(port);
    name_server_start();
    return 0;
}

static int stop(void **state)
{
    (void)state;
    name_server_stop();
    return 0;
}

/* The answer for bindings is waited for, and no attempt follows another because a machine stood still. */
static happy_options following(const char *alpn)
{
    happy_options options = HAPPY_OPTIONS_INIT;
    options.service = "https";
    options.alpn = alpn;
    options.resolution_delay_ms = NOT_SOON_MS;
    options.connection_attempt_delay_ms = LONGEST_ATTEMPT_DELAY_MS;
    return options;
}

/* A result with room for a binding: of exactly so many bytes, so that sanitizers see each one beyond. */
static happy_result with_room(size_t capacity)
{
    happy_result result = HAPPY_RESULT_INIT;
    result.binding_buffer = malloc(capacity);
    result.binding_capacity = capacity;
    assert_non_null(result.binding_buffer);
    return result;
}

/* What the binding of svc.test says, with the ids that are left of it. */
static void check_binding(const happy_result *result, const char *ids)
{
    const struct sockaddr_in *address = (const struct sockaddr_in *)&result->address;
    assert_int_equal(result->status, HAPPY_OK);
    assert_string_equal(result_address(result), "127.0.0.1");
    assert_int_equal(ntohs(address->sin_port), port);
    assert_int_equal(result->binding_length, sizeof TARGET + strlen(ids) + 1 + SERVICE_ECH_LENGTH);
    assert_string_equal(result->binding_target, TARGET);
    assert_string_equal(result->binding_alpn, ids);
    assert_int_equal(result->binding_ech_length, SERVICE_ECH_LENGTH);
    assert_memory_equal(result->binding_ech, SERVICE_ECH, SERVICE_ECH_LENGTH);
    assert_int_equal(result->binding_port, port);
    assert_int_equal(result->binding_priority, 1);
}

/* All of it lies in the caller's buffer. */
static void check_is_in_buffer(const happy_result *result)
{
    const char *begin = result->binding_buffer, *end = begin + result->binding_capacity;
    assert_true(result->binding_target >= begin && result->binding_target < end);
    assert_true(result->binding_alpn >= begin && result->binding_alpn < end);
    assert_true((const char *)result->binding_ech >= begin &&
                (const char *)result->binding_ech + result->binding_ech_length <= end);
}

static void check_no_binding(const happy_result *result)
{
    assert_int_equal(result->binding_length, 0);
    assert_null(result->binding_target);
    assert_null(result->binding_alpn);
    assert_null(result->binding_ech);
    assert_int_equal(result->binding_ech_length, 0);
    assert_int_equal(result->binding_port, 0);
    assert_int_equal(result->binding_priority, 0);
}

static void a_blocking_connect_follows_a_binding(void **state)
{
    static const struct {
        const char *spoken, *left;
    } table[] = {{NULL, ALL_IDS}, {"h2", "h2"}, {"http/1.1,h2", "h2,http/1.1"}, {"spdy/1,h3", "h3"}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        happy_options options = following(table[i].spoken);
        happy_result result = with_room(NEEDED);
        int fd = init_inetsock_happy("svc.test", service(own_port), &options, &result);
        if (fd < 0)
            fail_msg("%s: %s", table[i].spoken ? table[i].spoken : "NULL", happy_error_message());
        check_binding(&result, table[i].left);
        check_is_in_buffer(&result);
        close(fd);
        free(result.binding_buffer);
    }
}

static void a_connect_in_a_loop_follows_a_binding(void **state)
{
    happy_options options = following("h2");
    happy_result result = with_room(NEEDED);
    happy_connect *connect = NULL;
    char text[] = "https", ids[] = "h2";
    (void)state;
    /* Strings are copied. */
    options.service = text;
    options.alpn = ids;
    assert_int_equal(happy_connect_new("svc.test", service(own_port), &options, &connect, NULL), HAPPY_OK);
    memset(text, 'x', sizeof text);
    memset(ids, 'x', sizeof ids);
    int ready = happy_connect_get_fd(connect);
    while (happy_connect_dispatch(connect) == HAPPY_EAGAIN)
        assert_true(wait_readable(ready, PATIENCE_MS));
    int fd = happy_connect_take_result(connect, &result);
    /* What the result points to is the caller's, and stays. */
    happy_connect_free(connect);
    assert_true(fd >= 0);
    check_binding(&result, "h2");
    check_is_in_buffer(&result);
    close(fd);
    free(result.binding_buffer);
}

/* The done callback of a connect that follows a binding, or of one that has none. */
static void done(happy_multi *multi, uint64_t id, const happy_result *result, void *userdata)
{
    bool *follows = userdata;
    (void)multi, (void)id;
    assert_int_equal(result->status, HAPPY_OK);
    if (*follows) {
        check_binding(result, "h2");
        check_is_in_buffer(result);
    } else {
        check_no_binding(result);
        assert_null(result->binding_buffer);
        assert_int_equal(result->binding_capacity, 0);
    }
    close(result->fd);
}

static void many_connects_follow_their_bindings(void **state)
{
    happy_options options = following("h2");
    happy_multi *multi = NULL;
    bool follows[6];
    int running = 1;
    (void)state;
    assert_int_equal(happy_multi_new(&multi), HAPPY_OK);
    for (size_t i = 0; i < COUNT_OF(follows); i++) {
        follows[i] = i % 2 == 0;
        const char *host = follows[i] ? "svc.test" : "both.test", *at = service(follows[i] ? own_port : port);
        assert_int_equal(happy_multi_add(multi, host, at, &options, done, NULL, NULL, &follows[i]), HAPPY_OK);
    }
    while (running > 0)
        assert_int_equal(happy_multi_wait(multi, 1000, &running), HAPPY_OK);
    happy_multi_free(multi);
}

static void what_does_not_fit_is_left_out_and_the_rest_is_told(void **state)
{
    happy_options options = following(NULL);
    (void)state;
    for (size_t capacity = 0; capacity <= NEEDED; capacity++) {
        happy_result result = with_room(capacity);
        int fd = init_inetsock_happy("svc.test", service(own_port), &options, &result);
        assert_true(fd >= 0);
        size_t left = capacity;
        const char *target = left >= sizeof TARGET ? TARGET : NULL;
        left -= target ? sizeof TARGET : 0;
        const char *ids = left >= sizeof ALL_IDS ? ALL_IDS : NULL;
        left -= ids ? sizeof ALL_IDS : 0;
        assert_int_equal(result.binding_target != NULL, target != NULL);
        assert_int_equal(result.binding_alpn != NULL, ids != NULL);
        assert_int_equal(result.binding_ech != NULL, left >= SERVICE_ECH_LENGTH);
        if (target)
            assert_string_equal(result.binding_target, target);
        if (ids)
            assert_string_equal(result.binding_alpn, ids);
        if (result.binding_ech)
            assert_memory_equal(result.binding_ech, SERVICE_ECH, SERVICE_ECH_LENGTH);
        assert_int_equal(result.binding_length, NEEDED);
        assert_int_equal(result.binding_ech_length, SERVICE_ECH_LENGTH);
        assert_int_equal(result.binding_port, port);
        assert_int_equal(result.binding_priority, 1);
        close(fd);
        free(result.binding_buffer);
    }
}

static void without_a_buffer_the_numbers_are_told(void **state)
{
    happy_options options = following(NULL);
    happy_result result = HAPPY_RESULT_INIT;
    (void)state;
    /* Without a buffer the capacity is nobody's. */
    result.binding_capacity = NEEDED;
    int fd = init_inetsock_happy("svc.test", service(own_port), &options, &result);
    assert_true(fd >= 0);
    assert_null(result.binding_target);
    assert_null(result.binding_alpn);
    assert_null(result.binding_ech);
    assert_int_equal(result.binding_length, NEEDED);
    assert_int_equal(result.binding_ech_length, SERVICE_ECH_LENGTH);
    assert_int_equal(result.binding_port, port);
    close(fd);
    /* Nor is a result needed at all. */
    fd = init_inetsock_happy("svc.test", service(own_port), &options, NULL);
    assert_true(fd >= 0);
    close(fd);
}

static void a_binding_that_says_little_has_its_own_name_and_protocol(void **state)
{
    happy_options options = following(NULL);
    happy_result result = with_room(64);
    (void)state;
    int fd = init_inetsock_happy("svcbare.test", service(port), &options, &result);
    assert_true(fd >= 0);
    assert_string_equal(result.binding_target, "svcbare.test");
    assert_string_equal(result.binding_alpn, "http/1.1");
    assert_int_equal(result.binding_length, sizeof "svcbare.test" + sizeof "http/1.1");
    assert_null(result.binding_ech);
    assert_int_equal(result.binding_ech_length, 0);
    assert_int_equal(result.binding_port, 0);
    assert_int_equal(result.binding_priority, 7);
    close(fd);
    free(result.binding_buffer);
}

/* Nobody listens at the host's own port: that is what is left where no binding is followed. */
static void refused_at_the_hosts_own_port(const happy_options *options)
{
    happy_result result = with_room(NEEDED);
    assert_int_equal(init_inetsock_happy("svc.test", service(own_port), options, &result), -1);
    assert_int_equal(result.status, HAPPY_ESYSCALL);
    assert_int_equal(result.sys_errno, ECONNREFUSED);
    check_no_binding(&result);
    assert_int_equal(result.binding_capacity, NEEDED);
    free(result.binding_buffer);
}

static void a_binding_is_not_followed_where_nobody_asks_or_no_protocol_fits(void **state)
{
    happy_options unasked = HAPPY_OPTIONS_INIT, unfit = following("spdy/1,h");
    (void)state;
    refused_at_the_hosts_own_port(&unasked);
    refused_at_the_hosts_own_port(&unfit);
}

static void a_host_without_bindings_is_connected_to_as_ever(void **state)
{
    static const char *const hosts[] = {"both.test", "four.test", "127.0.0.1"};
    happy_options options = following("h2");
    (void)state;
    for (size_t i = 0; i < COUNT_OF(hosts); i++) {
        happy_result result = with_room(NEEDED);
        int fd = init_inetsock_happy(hosts[i], service(port), &options, &result);
        assert_true(fd >= 0);
        check_no_binding(&result);
        close(fd);
        free(result.binding_buffer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RACE_TEST(a_blocking_connect_follows_a_binding),
        RACE_TEST(a_connect_in_a_loop_follows_a_binding),
        RACE_TEST(many_connects_follow_their_bindings),
        RACE_TEST(what_does_not_fit_is_left_out_and_the_rest_is_told),
        RACE_TEST(without_a_buffer_the_numbers_are_told),
        RACE_TEST(a_binding_that_says_little_has_its_own_name_and_protocol),
        RACE_TEST(a_binding_is_not_followed_where_nobody_asks_or_no_protocol_fits),
        RACE_TEST(a_host_without_bindings_is_connected_to_as_ever),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
