/* happy_lookup: its states, its answer, its descriptor, its limit. */
#define _GNU_SOURCE
#include "support.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void answers_after_a_wait(void **state)
{
    int descriptors = settled_descriptors();
    happy_lookup *lookup = started_lookup("dual.test", -1);
    struct addrinfo *list = NULL;
    (void)state;
    assert_int_equal(happy_lookup_wait(lookup), HAPPY_OK);
    assert_int_equal(happy_lookup_take_result(lookup, &list), 0);
    assert_int_equal(list->ai_family, AF_INET6);
    assert_int_equal(list->ai_next->ai_family, AF_INET);
    assert_null(list->ai_next->ai_next);
    freeaddrinfo(list);
    happy_lookup_unref(lookup);
    check_descriptors(descriptors);
}

static void copies_its_arguments(void **state)
{
    char node[] = "four.test", name[] = "80";
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    happy_lookup *lookup = NULL;
    assert_int_equal(happy_lookup_new(node, name, &hints, -1, &lookup), HAPPY_OK);
    struct addrinfo *list = NULL;
    (void)state;
    memset(node, 'x', sizeof node - 1);
    memset(name, 'x', sizeof name - 1);
    memset(&hints, 0xff, sizeof hints);
    assert_int_equal(happy_lookup_start(lookup), HAPPY_OK);
    happy_lookup_wait(lookup);
    assert_int_equal(happy_lookup_take_result(lookup, &list), 0);
    assert_int_equal(((struct sockaddr_in *)list->ai_addr)->sin_port, htons(80));
    freeaddrinfo(list);
    happy_lookup_unref(lookup);
}

static void the_answer_is_taken_once(void **state)
{
    happy_lookup *lookup = started_lookup("127.0.0.1", -1);
    struct addrinfo *list = NULL, *again = (struct addrinfo *)state;
    assert_int_equal(happy_lookup_take_result(lookup, &list), 0);
    assert_int_equal(happy_lookup_take_result(lookup, &again), HAPPY_ESTATE);
    assert_ptr_equal(again, state);
    assert_int_equal(happy_lookup_start(lookup), HAPPY_ESTATE);
    happy_lookup_unref(lookup);
    /* The list is the caller's own. */
    assert_int_equal(list->ai_family, AF_INET);
    freeaddrinfo(list);
}

static void an_untaken_answer_is_freed_with_it(void **state)
{
    happy_lookup *lookup = started_lookup("dual.test", -1);
    (void)state;
    happy_lookup_wait(lookup);
    happy_lookup_unref(lookup);
}

static void says_in_which_state_it_is(void **state)
{
    struct addrinfo *list = (struct addrinfo *)state;
    int dns = silent_dns_server();
    happy_lookup *lookup = NULL;
    assert_int_equal(happy_lookup_new("hangs.test", "80", NULL, -1, &lookup), HAPPY_OK);
    assert_int_equal(happy_lookup_take_result(lookup, &list), HAPPY_ESTATE);
    /* Not started: there is nothing to wait for. */
    assert_int_equal(happy_lookup_wait(lookup), HAPPY_ESTATE);
    assert_int_equal(happy_lookup_dispatch(lookup), HAPPY_ESTATE);
    assert_int_equal(happy_lookup_get_timeout_ms(lookup), -1);
    assert_int_equal(happy_lookup_start(lookup), HAPPY_OK);
    assert_int_equal(happy_lookup_dispatch(lookup), HAPPY_EAGAIN);
    /* The server is asked again, or given up, when its time has passed; there is no other limit. */
    assert_in_range(happy_lookup_get_timeout_ms(lookup), 1, SILENCE_MS);
    assert_int_equal(happy_lookup_start(lookup), HAPPY_ESTATE);
    assert_int_equal(happy_lookup_take_result(lookup, &list), HAPPY_EAGAIN);
    assert_ptr_equal(list, state);
    happy_lookup_cancel(lookup);
    happy_lookup_unref(lookup);
    close(dns);
}

static void takes_null(void **state)
{
    struct addrinfo *list = (struct addrinfo *)state;
    assert_null(happy_lookup_ref(NULL));
    happy_lookup_unref(NULL);
    happy_lookup_cancel(NULL);
    assert_int_equal(happy_lookup_wait(NULL), HAPPY_EINVALID);
    assert_int_equal(happy_lookup_start(NULL), HAPPY_EINVALID);
    assert_int_equal(happy_lookup_take_result(NULL, &list), HAPPY_EINVALID);
    assert_ptr_equal(list, state);
    errno = 0;
    assert_int_equal(happy_lookup_get_fd(NULL), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(happy_lookup_dispatch(NULL), HAPPY_EINVALID);
    assert_int_equal(happy_lookup_get_timeout_ms(NULL), -1);
    assert_null(happy_lookup_wait_callback(NULL));
    happy_lookup_cancel_callback(NULL);
    happy_lookup *none = NULL;
    assert_int_equal(happy_lookup_new("dual.test", "80", NULL, -2, &none), HAPPY_EINVALID);
    assert_null(none);
    assert_int_equal(happy_lookup_new("dual.test", "80", NULL, -1, NULL), HAPPY_EINVALID);
    happy_lookup *lookup = started_lookup("127.0.0.1", -1);
    assert_int_equal(happy_lookup_take_result(lookup, NULL), HAPPY_EINVALID);
    assert_int_equal(happy_lookup_take_result(lookup, &list), 0);
    freeaddrinfo(list);
    happy_lookup_unref(lookup);
}

static void a_bad_name_is_the_lookups_answer(void **state)
{
    happy_lookup *lookup = NULL;
    assert_int_equal(happy_lookup_new(NULL, NULL, NULL, -1, &lookup), HAPPY_OK);
    struct addrinfo *list = (struct addrinfo *)state;
    assert_non_null(lookup);
    assert_int_equal(happy_lookup_start(lookup), HAPPY_OK);
    happy_lookup_wait(lookup);
    assert_int_equal(happy_lookup_take_result(lookup, &list), EAI_NONAME);
    assert_ptr_equal(list, state);
    happy_lookup_unref(lookup);
}

static void the_descriptor_becomes_readable_and_stays_so(void **state)
{
    int descriptors = settled_descriptors();
    happy_lookup *lookup = NULL;
    assert_int_equal(happy_lookup_new("dual.test", "80", NULL, -1, &lookup), HAPPY_OK);
    struct addrinfo *list = NULL;
    (void)state;
    int fd = happy_lookup_get_fd(lookup);
    assert_true(fd >= 0);
    assert_int_equal(happy_lookup_get_fd(lookup), fd);
    assert_false(is_readable(fd));
    assert_int_equal(happy_lookup_start(lookup), HAPPY_OK);
    assert_true(wait_readable(fd, PATIENCE_MS));
    happy_lookup_wait(lookup);
    assert_true(is_readable(fd));
    assert_int_equal(happy_lookup_take_result(lookup, &list), 0);
    assert_true(is_readable(fd));
    freeaddrinfo(list);
    happy_lookup_unref(lookup);
    check_descriptors(descriptors);
}

static void the_descriptor_of_a_finished_lookup_is_readable(void **state)
{
    happy_lookup *lookup = started_lookup("127.0.0.1", -1);
    (void)state;
    happy_lookup_wait(lookup);
    assert_true(is_readable(happy_lookup_get_fd(lookup)));
    happy_lookup_unref(lookup);
}

static void its_limit_counts_from_the_start(void **state)
{
    int dns = silent_dns_server();
    happy_lookup *lookup = NULL;
    assert_int_equal(happy_lookup_new("hangs.test", "80", NULL, 80, &lookup), HAPPY_OK);
    struct addrinfo *list = NULL;
    (void)state;
    usleep(120000);
    double began = now_ms();
    assert_int_equal(happy_lookup_start(lookup), HAPPY_OK);
    happy_lookup_wait(lookup);
    double took = now_ms() - began;
    assert_true(took >= 80 && took < NOT_SOON_MS);
    assert_int_equal(happy_lookup_take_result(lookup, &list), EAI_SYSTEM);
    assert_int_equal(errno, ETIMEDOUT);
    happy_lookup_unref(lookup);
    close(dns);
}

static void its_limit_holds_for_pollers_too(void **state)
{
    int dns = silent_dns_server();
    happy_lookup *lookup = started_lookup("hangs.test", 3000);
    struct addrinfo *list = NULL;
    (void)state;
    int fd = happy_lookup_get_fd(lookup);
    assert_int_equal(happy_lookup_dispatch(lookup), HAPPY_EAGAIN);
    int timeout_ms = happy_lookup_get_timeout_ms(lookup);
    assert_true(timeout_ms >= 0 && timeout_ms <= 3000);
    /* Nothing but the limit makes it readable. */
    assert_true(wait_readable(fd, PATIENCE_MS));
    assert_int_equal(happy_lookup_dispatch(lookup), HAPPY_OK);
    assert_true(is_readable(fd));
    assert_int_equal(happy_lookup_get_timeout_ms(lookup), 0);
    assert_int_equal(happy_lookup_get_fd(lookup), fd);
    assert_int_equal(happy_lookup_take_result(lookup, &list), EAI_SYSTEM);
    assert_int_equal(errno, ETIMEDOUT);
    assert_non_null(strstr(happy_error_message(), strerror(ETIMEDOUT)));
    happy_lookup_unref(lookup);
    close(dns);
}

/* Statuses have names, and their own range. */
static void statuses_have_names(void **state)
{
    (void)state;
    assert_string_equal(happy_status_str(HAPPY_OK), "success");
    for (int status = HAPPY_ENOENT; status <= HAPPY_ERESOLVE; status++)
        assert_string_not_equal(happy_status_str(status), happy_status_str(-1));
    assert_non_null(happy_status_str(INT32_MIN));
    assert_non_null(happy_status_str(INT32_MAX));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_after_a_wait),
        cmocka_unit_test(copies_its_arguments),
        cmocka_unit_test(the_answer_is_taken_once),
        cmocka_unit_test(an_untaken_answer_is_freed_with_it),
        cmocka_unit_test(says_in_which_state_it_is),
        cmocka_unit_test(takes_null),
        cmocka_unit_test(a_bad_name_is_the_lookups_answer),
        cmocka_unit_test(the_descriptor_becomes_readable_and_stays_so),
        cmocka_unit_test(the_descriptor_of_a_finished_lookup_is_readable),
        cmocka_unit_test(its_limit_counts_from_the_start),
        cmocka_unit_test(its_limit_holds_for_pollers_too),
        cmocka_unit_test(statuses_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
