/* init_inetsock_happy by name, its limits and its local address: what the result says.
 *
 * Addresses: ::1 and 127.0.0.1 are loopback; 2001:db8:1::1 and 203.0.113.1 are live; 2001:db8::77 and 192.0.2.77
 * swallow what they are sent. */
#define _GNU_SOURCE
#include "servers.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- By name, with libc's resolver --------------------------------------------------------------------- */

static void connects_by_name(void **state)
{
    static const struct {
        const char *host, *address;
        int family;
    } table[] = {
        /* Only loopback: the first answer wins, whichever it is. (glibc answers 127.0.0.1 for a name that is ::1
           alone.) */
        {"localhost", NULL, AF_UNSPEC},
        {"dual.test", NULL, AF_UNSPEC},
        {"dual.test", "127.0.0.1", AF_INET},
        {"dual.test", "::1", AF_INET6},
        {"four.test", "127.0.0.1", AF_UNSPEC},
        {"six.test", "::1", AF_INET6},
        {"live.test", "2001:db8:1::1", AF_UNSPEC},
        {"127.0.0.1", "127.0.0.1", AF_UNSPEC},
        {"::1", "::1", AF_UNSPEC},
        {"127.1", "127.0.0.1", AF_UNSPEC},
        {"127.0.0.1", "127.0.0.1", AF_INET},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        happy_options options = HAPPY_OPTIONS_INIT;
        struct roomy_result roomy;
        options.family = table[i].family;
        /* One attempt, however long it takes. */
        options.connection_attempt_delay_ms = LONGEST_ATTEMPT_DELAY_MS;
        clear_result(&roomy);
        int fd = init_inetsock_happy(table[i].host, service(port), &options, &roomy.result);
        if (fd < 0)
            fail_msg("%s: %s: %s", table[i].host, happy_status_str(roomy.result.status), happy_error_message());
        check_socket(fd, false);
        assert_int_equal(roomy.result.fd, fd);
        assert_int_equal(roomy.result.status, HAPPY_OK);
        assert_int_equal(roomy.result.sys_errno, 0);
        assert_int_equal(roomy.result.gai_error, 0);
        assert_null(roomy.result.syscall);
        assert_null(roomy.result.argument);
        assert_int_equal(roomy.result.limit, HAPPY_LIMIT_NONE);
        const char *address = result_address(&roomy.result);
        if (table[i].address)
            assert_string_equal(address, table[i].address);
        else
            assert_true(strcmp(address, "::1") == 0 || strcmp(address, "127.0.0.1") == 0);
        assert_int_equal(roomy.result.attempts_count, 1);
        assert_int_equal(roomy.attempts[0].outcome, HAPPY_OUTCOME_CONNECTED);
        assert_true(roomy.attempts[0].ended_ns >= roomy.attempts[0].started_ns);
        close(fd);
    }
}

static void a_null_host_is_the_loopback(void **state)
{
    struct roomy_result roomy;
    (void)state;
    clear_result(&roomy);
    int fd = init_inetsock_happy(NULL, service(port), NULL, &roomy.result);
    check_socket(fd, false);
    assert_string_equal(result_address(&roomy.result), "::1");
    close(fd);
}

static void options_and_result_may_be_null(void **state)
{
    (void)state;
    int fd = init_inetsock_happy("dual.test", service(port), NULL, NULL);
    check_socket(fd, false);
    close(fd);
    errno = 0;
    assert_int_equal(init_inetsock_happy("dual.test", service(closed_port()), NULL, NULL), -1);
    assert_int_equal(errno, ECONNREFUSED);
}

static void a_service_by_name_is_looked_up(void **state)
{
    struct roomy_result roomy;
    (void)state;
    clear_result(&roomy);
    /* Port 80 is free in this network. */
    int http = 80, server = listen_on("127.0.0.1", &http);
    int fd = init_inetsock_happy("127.0.0.1", "http", NULL, &roomy.result);
    check_socket(fd, false);
    close(fd);
    close(server);
}

static void hands_over_in_nonblocking_mode_if_asked(void **state)
{
    static const char *const hosts[] = {"127.0.0.1", "dual.test"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(hosts); i++) {
        happy_options options = HAPPY_OPTIONS_INIT;
        options.flags = HAPPY_FLAG_NONBLOCKING;
        int fd = init_inetsock_happy(hosts[i], service(port), &options, NULL);
        check_socket(fd, true);
        close(fd);
    }
}

static void all_refused_gives_the_last_error_with_its_address(void **state)
{
    struct roomy_result roomy;
    int closed = closed_port();
    (void)state;
    clear_result(&roomy);
    errno = 0;
    assert_int_equal(init_inetsock_happy("dual.test", service(closed), NULL, &roomy.result), -1);
    assert_int_equal(errno, ECONNREFUSED);
    assert_int_equal(roomy.result.status, HAPPY_ESYSCALL);
    assert_int_equal(roomy.result.fd, -1);
    assert_int_equal(roomy.result.sys_errno, ECONNREFUSED);
    assert_string_equal(roomy.result.syscall, "connect(2)");
    assert_int_equal(roomy.result.local_at_fault, 0);
    assert_int_equal(roomy.result.attempts_count, 2);
    /* Either family may have been answered first. */
    assert_int_equal(roomy.attempts[0].family + roomy.attempts[1].family, AF_INET6 + AF_INET);
    assert_int_equal(roomy.result.address.ss_family, roomy.attempts[1].family);
    assert_string_equal(result_address(&roomy.result), roomy.attempts[1].family == AF_INET6 ? "::1" : "127.0.0.1");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(roomy.attempts[i].outcome, HAPPY_OUTCOME_FAILED);
        assert_int_equal(roomy.attempts[i].sys_errno, ECONNREFUSED);
        assert_string_equal(roomy.attempts[i].syscall, "connect(2)");
    }
    assert_non_null(strstr(happy_error_message(), "connect(2)"));
}

static void a_name_that_is_not_resolved(void **state)
{
    struct roomy_result roomy;
    (void)state;
    clear_result(&roomy);
    errno = 0;
    /* Nobody listens at the DNS server's port. */
    assert_int_equal(init_inetsock_happy("no.such.test", "80", NULL, &roomy.result), -1);
    assert_int_equal(roomy.result.status, HAPPY_ERESOLVE);
    assert_int_equal(roomy.result.gai_error, EAI_AGAIN);
    assert_int_equal(errno, EAGAIN);
    assert_string_equal(roomy.result.argument, "remote_host");
    assert_int_equal(roomy.result.attempts_count, 0);
    assert_int_equal(roomy.result.address_length, 0);
}

/* ---- Limits -------------------------------------------------------------------------------------------- */

static void check_timeout(struct roomy_result *roomy, int limit, double began, double at_least)
{
    assert_int_equal(errno, ETIMEDOUT);
    assert_int_equal(roomy->result.status, HAPPY_ETIMEOUT);
    assert_int_equal(roomy->result.sys_errno, ETIMEDOUT);
    assert_int_equal(roomy->result.limit, limit);
    double took = now_ms() - began;
    if (took < at_least || took > at_least + NOT_SOON_MS)
        fail_msg("%.1f ms, and the limit was %.1f ms", took, at_least);
}

static void nothing_answers_and_open_timeout_ends_it(void **state)
{
    happy_options options = HAPPY_OPTIONS_INIT;
    struct roomy_result roomy;
    (void)state;
    /* Time for the second attempt too. */
    options.connection_attempt_delay_ms = 10;
    options.open_timeout_ms = 4000;
    clear_result(&roomy);
    double began = now_ms();
    assert_int_equal(init_inetsock_happy("silent.test", service(port), &options, &roomy.result), -1);
    check_timeout(&roomy, HAPPY_LIMIT_OPEN, began, 4000);
    assert_int_equal(roomy.result.attempts_count, 2);
    assert_string_not_equal(result_address(&roomy.result), "");
}

static void open_timeout_covers_the_lookups(void **state)
{
    happy_options options = HAPPY_OPTIONS_INIT;
    struct roomy_result roomy;
    int dns = silent_dns_server();
    (void)state;
    options.open_timeout_ms = 100;
    clear_result(&roomy);
    double began = now_ms();
    assert_int_equal(init_inetsock_happy("hangs.test", "80", &options, &roomy.result), -1);
    check_timeout(&roomy, HAPPY_LIMIT_OPEN, began, 100);
    assert_int_equal(roomy.result.attempts_count, 0);
    close(dns);
    wait_for_workers_to_leave();
}

static void resolv_timeout_ends_the_lookups(void **state)
{
    happy_options options = HAPPY_OPTIONS_INIT;
    struct roomy_result roomy;
    int dns = silent_dns_server();
    (void)state;
    options.resolv_timeout_ms = 100;
    clear_result(&roomy);
    double began = now_ms();
    assert_int_equal(init_inetsock_happy("hangs.test", "80", &options, &roomy.result), -1);
    check_timeout(&roomy, HAPPY_LIMIT_RESOLV, began, 100);
    close(dns);
    wait_for_workers_to_leave();
}

static void connect_timeout_counts_from_the_last_attempt(void **state)
{
    struct script script = {.six = {.addresses = {"2001:db8::77"}}, .four = {.addresses = {"192.0.2.77"}}};
    happy_options options = script_options(&script);
    struct roomy_result roomy;
    (void)state;
    options.connection_attempt_delay_ms = 200;
    options.connect_timeout_ms = 100;
    double began = now_ms();
    assert_int_equal(connect_scripted(&options, &roomy), -1);
    check_timeout(&roomy, HAPPY_LIMIT_CONNECT, began, 300);
    assert_int_equal(roomy.result.attempts_count, 2);
    wait_for_userdata_free(&script);
}

static void limits_of_0_are_over_at_once(void **state)
{
    struct roomy_result roomy;
    (void)state;
    for (int which = 0; which < 3; which++) {
        struct script script = {.six = {.delay_ms = -1}, .four = {.delay_ms = -1}};
        happy_options options = script_options(&script);
        /* Two limits may be set where they do not exclude each other. */
        int limit = which == 0 ? HAPPY_LIMIT_OPEN : which == 1 ? HAPPY_LIMIT_RESOLV : HAPPY_LIMIT_CONNECT;
        if (which == 0)
            options.open_timeout_ms = 0;
        else if (which == 1)
            options.resolv_timeout_ms = 0;
        else
            options.connect_timeout_ms = 0;
        if (which == 2) {
            script.six = (struct script_answer){.addresses = {"2001:db8::77"}};
            script.four = (struct script_answer){.gai_error = EAI_NONAME};
        }
        double began = now_ms();
        assert_int_equal(connect_scripted(&options, &roomy), -1);
        check_timeout(&roomy, limit, began, 0);
        script_release();
        wait_for_userdata_free(&script);
        script_hold();
    }
}

/* ---- Local address ------------------------------------------------------------------------------------- */

static void binds_to_the_local_address(void **state)
{
    happy_options options = HAPPY_OPTIONS_INIT;
    struct roomy_result roomy;
    struct sockaddr_in local;
    socklen_t length = sizeof local;
    (void)state;
    int free_port = closed_port();
    options.local_host = "127.0.0.9";
    options.local_service = service(free_port);
    clear_result(&roomy);
    int fd = init_inetsock_happy("dual.test", service(port), &options, &roomy.result);
    check_socket(fd, false);
    /* The only family that the local address fits. */
    assert_string_equal(result_address(&roomy.result), "127.0.0.1");
    assert_int_equal(getsockname(fd, (struct sockaddr *)&local, &length), 0);
    assert_int_equal(local.sin_family, AF_INET);
    assert_int_equal(ntohl(local.sin_addr.s_addr), 0x7f000009);
    assert_int_equal(ntohs(local.sin_port), free_port);
    close(fd);
}

static void binds_to_a_local_port_alone(void **state)
{
    happy_options options = HAPPY_OPTIONS_INIT;
    struct sockaddr_in6 local;
    socklen_t length = sizeof local;
    (void)state;
    int free_port = closed_port();
    options.local_service = service(free_port);
    int fd = init_inetsock_happy("six.test", service(port), &options, NULL);
    check_socket(fd, false);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&local, &length), 0);
    assert_int_equal(ntohs(local.sin6_port), free_port);
    close(fd);
}

static void a_local_address_of_the_wrong_family(void **state)
{
    happy_options options = HAPPY_OPTIONS_INIT;
    struct roomy_result roomy;
    (void)state;
    options.local_host = "127.0.0.1";
    clear_result(&roomy);
    errno = 0;
    assert_int_equal(init_inetsock_happy("::1", service(port), &options, &roomy.result), -1);
    assert_int_equal(errno, EAFNOSUPPORT);
    assert_int_equal(roomy.result.status, HAPPY_ESYSCALL);
    assert_int_equal(roomy.result.sys_errno, EAFNOSUPPORT);
    assert_int_equal(roomy.result.local_at_fault, 1);
    assert_string_equal(roomy.result.argument, "local_host");
    assert_non_null(strstr(happy_error_message(), "local_host"));
    assert_int_equal(roomy.result.attempts_count, 0);
}

static void a_local_address_that_is_not_ours(void **state)
{
    happy_options options = HAPPY_OPTIONS_INIT;
    struct roomy_result roomy;
    (void)state;
    options.local_host = "198.51.100.1";
    clear_result(&roomy);
    errno = 0;
    assert_int_equal(init_inetsock_happy("four.test", service(port), &options, &roomy.result), -1);
    assert_int_equal(errno, EADDRNOTAVAIL);
    assert_int_equal(roomy.result.sys_errno, EADDRNOTAVAIL);
    assert_string_equal(roomy.result.syscall, "bind(2)");
    assert_int_equal(roomy.result.local_at_fault, 1);
}

static void a_local_host_that_is_not_resolved(void **state)
{
    happy_options options = HAPPY_OPTIONS_INIT;
    struct roomy_result roomy;
    (void)state;
    options.local_host = "no.such.test";
    clear_result(&roomy);
    errno = 0;
    assert_int_equal(init_inetsock_happy("four.test", service(port), &options, &roomy.result), -1);
    assert_int_equal(roomy.result.status, HAPPY_ERESOLVE);
    assert_int_equal(roomy.result.gai_error, EAI_AGAIN);
    assert_int_equal(roomy.result.local_at_fault, 1);
    assert_string_equal(roomy.result.argument, "local_host");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RACE_TEST(connects_by_name),
        RACE_TEST(a_null_host_is_the_loopback),
        RACE_TEST(options_and_result_may_be_null),
        RACE_TEST(a_service_by_name_is_looked_up),
        RACE_TEST(hands_over_in_nonblocking_mode_if_asked),
        RACE_TEST(all_refused_gives_the_last_error_with_its_address),
        RACE_TEST(a_name_that_is_not_resolved),
        RACE_TEST(nothing_answers_and_open_timeout_ends_it),
        RACE_TEST(open_timeout_covers_the_lookups),
        RACE_TEST(resolv_timeout_ends_the_lookups),
        RACE_TEST(connect_timeout_counts_from_the_last_attempt),
        RACE_TEST(limits_of_0_are_over_at_once),
        RACE_TEST(binds_to_the_local_address),
        RACE_TEST(binds_to_a_local_port_alone),
        RACE_TEST(a_local_address_of_the_wrong_family),
        RACE_TEST(a_local_address_that_is_not_ours),
        RACE_TEST(a_local_host_that_is_not_resolved),
    };
    return cmocka_run_group_tests(tests, start_servers, NULL);
}
