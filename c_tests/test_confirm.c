/* A success that is more than TCP: an attempt that has connected is held until the caller says whether it wins.
 *
 * Addresses: 2001:db8:1::1 and 203.0.113.1 are live, and IPv6 goes first. */
#define _GNU_SOURCE
#include "servers.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the callbacks answer and have seen: by family, IPv6 first. */
struct answers {
    int answers[2];
    int asked[2], released[2], ended, finished;
    /* The socket that is held, or -1. */
    int fds[2];
    /* Called while one is asked for, if set. */
    void (*meanwhile)(struct answers *answers, int fd);
    void *context;
};

static struct answers new_answers(int six, int four)
{
    return (struct answers){.answers = {six, four}, .fds = {-1, -1}};
}

static int confirm(int fd, const struct sockaddr *address, socklen_t length, void *userdata)
{
    struct answers *answers = userdata;
    int place = address->sa_family == AF_INET6 ? 0 : 1;
    struct sockaddr_storage peer;
    socklen_t peer_length = sizeof peer;
    assert_int_equal(length, place == 0 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in));
    /* Connected to what it says, and ready for I/O that does not block. */
    assert_int_equal(getpeername(fd, (struct sockaddr *)&peer, &peer_length), 0);
    assert_int_equal(peer.ss_family, address->sa_family);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    answers->asked[place]++;
    answers->fds[place] = fd;
    if (answers->meanwhile != NULL)
        answers->meanwhile(answers, fd);
    return answers->answers[place];
}

static void release_socket(int fd, void *userdata)
{
    struct answers *answers = userdata;
    int place = fd == answers->fds[0] ? 0 : 1;
    assert_int_equal(fd, answers->fds[place]);
    /* It is open still. */
    assert_true(fcntl(fd, F_GETFD) >= 0);
    answers->released[place]++;
    answers->fds[place] = -1;
}

static void userdata_free(void *userdata)
{
    ((struct answers *)userdata)->ended++;
}

/* Both live addresses, at the servers' port. */
static happy_options options_with(struct answers *answers)
{
    static struct sockaddr_in6 six;
    static struct sockaddr_in four;
    static struct addrinfo list[2];
    six = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    four = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    assert_int_equal(inet_pton(AF_INET6, "2001:db8:1::1", &six.sin6_addr), 1);
    assert_int_equal(inet_pton(AF_INET, "203.0.113.1", &four.sin_addr), 1);
    list[0] = (struct addrinfo){.ai_addr = (struct sockaddr *)&six, .ai_addrlen = sizeof six, .ai_next = &list[1]};
    list[1] = (struct addrinfo){.ai_addr = (struct sockaddr *)&four, .ai_addrlen = sizeof four};
    happy_options options = HAPPY_OPTIONS_INIT;
    options.addresses = list;
    options.confirm = confirm;
    options.release_socket = release_socket;
    options.userdata = answers;
    options.userdata_free = userdata_free;
    return options;
}

static int connect_now(struct answers *answers, struct roomy_result *roomy)
{
    happy_options options = options_with(answers);
    clear_result(roomy);
    int fd = init_inetsock_happy(NULL, NULL, &options, &roomy->result);
    assert_int_equal(answers->ended, 1);
    assert_int_equal(answers->released[0] + answers->released[1], 0);
    return fd;
}

static void the_first_that_is_confirmed_wins(void **state)
{
    struct answers answers = new_answers(HAPPY_CONFIRM_YES, HAPPY_CONFIRM_YES);
    struct roomy_result roomy;
    (void)state;
    int fd = connect_now(&answers, &roomy);
    assert_true(fd >= 0);
    check_socket(fd, false);
    assert_int_equal(roomy.result.attempts_count, 1);
    assert_int_equal(answers.asked[0], 1);
    close(fd);
}

static void one_that_is_rejected_has_failed_and_the_next_starts(void **state)
{
    struct answers answers = new_answers(HAPPY_CONFIRM_NO, HAPPY_CONFIRM_YES);
    struct roomy_result roomy;
    (void)state;
    int fd = connect_now(&answers, &roomy);
    assert_true(fd >= 0);
    assert_string_equal(result_address(&roomy.result), "203.0.113.1");
    assert_int_equal(roomy.result.fell_back, 1);
    assert_int_equal(roomy.result.attempts_count, 2);
    assert_int_equal(roomy.attempts[0].outcome, HAPPY_OUTCOME_FAILED);
    assert_int_equal(roomy.attempts[0].sys_errno, ECONNABORTED);
    assert_string_equal(roomy.attempts[0].syscall, "confirm");
    close(fd);
}

/* What the result says when both attempts are answered so. */
static void check_failure(int answer, int sys_errno)
{
    struct answers answers = new_answers(answer, answer);
    struct roomy_result roomy;
    char message[200], expected[200];
    assert_int_equal(connect_now(&answers, &roomy), -1);
    assert_int_equal(errno, sys_errno);
    assert_int_equal(roomy.result.status, HAPPY_ESYSCALL);
    assert_int_equal(roomy.result.sys_errno, sys_errno);
    assert_string_equal(roomy.result.syscall, "confirm");
    assert_int_equal(answers.asked[0], 1);
    assert_int_equal(answers.asked[1], 1);
    happy_result_message(&roomy.result, message, sizeof message);
    snprintf(expected, sizeof expected, "confirm for 203.0.113.1:%d: %s", port, strerror(sys_errno));
    assert_string_equal(message, expected);
}

static void without_a_yes_the_connect_fails(void **state)
{
    (void)state;
    check_failure(HAPPY_CONFIRM_NO, ECONNABORTED);
    /* Nobody could answer later for a connect that blocks. */
    check_failure(HAPPY_CONFIRM_LATER, EDEADLK);
    check_failure(7, EINVAL);
    check_failure(-1, EINVAL);
}

static happy_connect *new_connect(struct answers *answers)
{
    happy_options options = options_with(answers);
    happy_connect *connect = NULL;
    assert_int_equal(happy_connect_new(NULL, NULL, &options, &connect, NULL), HAPPY_OK);
    return connect;
}

/* Drives the connect by its one descriptor until so many were asked for. */
static void drive_until_asked(happy_connect *connect, struct answers *answers, int count)
{
    int fd = happy_connect_get_fd(connect);
    while (answers->asked[0] + answers->asked[1] < count) {
        assert_true(wait_readable(fd, PATIENCE_MS));
        assert_int_equal(happy_connect_dispatch(connect), HAPPY_EAGAIN);
    }
}

static void two_are_held_and_the_one_that_is_confirmed_wins(void **state)
{
    (void)state;
    for (int winner = 0; winner < 2; winner++) {
        struct answers answers = new_answers(HAPPY_CONFIRM_LATER, HAPPY_CONFIRM_LATER);
        struct roomy_result roomy;
        happy_connect *connect = new_connect(&answers);
        drive_until_asked(connect, &answers, 2);
        int wanted = answers.fds[winner], other = answers.fds[1 - winner];
        assert_int_equal(happy_connect_confirm(connect, wanted, HAPPY_CONFIRM_YES), HAPPY_OK);
        assert_true(is_readable(happy_connect_get_fd(connect)));
        assert_int_equal(happy_connect_get_timeout_ms(connect), 0);
        /* Answered for is answered for. */
        assert_int_equal(happy_connect_confirm(connect, wanted, HAPPY_CONFIRM_NO), HAPPY_ENOENT);
        assert_int_equal(answers.released[1 - winner], 0);
        assert_int_equal(happy_connect_dispatch(connect), HAPPY_OK);
        assert_int_equal(answers.released[1 - winner], 1);
        assert_int_equal(answers.released[winner], 0);
        assert_int_equal(happy_connect_confirm(connect, other, HAPPY_CONFIRM_YES), HAPPY_ENOENT);
        clear_result(&roomy);
        assert_int_equal(happy_connect_take_result(connect, &roomy.result), wanted);
        check_socket(wanted, false);
        assert_int_equal(roomy.attempts[winner].outcome, HAPPY_OUTCOME_CONNECTED);
        assert_int_equal(roomy.attempts[1 - winner].outcome, HAPPY_OUTCOME_ABANDONED);
        assert_int_equal(roomy.result.unanswered_v6, 0);
        assert_int_equal(happy_connect_confirm(connect, other, HAPPY_CONFIRM_YES), HAPPY_ESTATE);
        happy_connect_free(connect);
        close(wanted);
    }
}

static void a_no_that_comes_later_starts_the_next_at_once(void **state)
{
    struct answers answers = new_answers(HAPPY_CONFIRM_LATER, HAPPY_CONFIRM_YES);
    (void)state;
    happy_options options = options_with(&answers);
    /* Without the no the second attempt would wait for ever. */
    options.flags = HAPPY_FLAG_NO_FAST_FALLBACK;
    happy_connect *connect = NULL;
    struct roomy_result roomy;
    assert_int_equal(happy_connect_new(NULL, NULL, &options, &connect, NULL), HAPPY_OK);
    drive_until_asked(connect, &answers, 1);
    int held = answers.fds[0];
    assert_int_equal(happy_connect_confirm(connect, held, HAPPY_CONFIRM_NO), HAPPY_OK);
    /* Closed, and not taken back: the caller has said so itself. */
    assert_int_equal(fcntl(held, F_GETFD), -1);
    assert_int_equal(answers.released[0], 0);
    assert_true(is_readable(happy_connect_get_fd(connect)));
    assert_int_equal(happy_connect_wait(connect), HAPPY_OK);
    clear_result(&roomy);
    int fd = happy_connect_take_result(connect, &roomy.result);
    assert_true(fd >= 0);
    assert_string_equal(result_address(&roomy.result), "203.0.113.1");
    assert_string_equal(roomy.attempts[0].syscall, "confirm");
    close(fd);
    happy_connect_free(connect);
}

static void the_last_no_ends_the_connect(void **state)
{
    struct answers answers = new_answers(HAPPY_CONFIRM_NO, HAPPY_CONFIRM_LATER);
    (void)state;
    happy_connect *connect = new_connect(&answers);
    happy_result result = HAPPY_RESULT_INIT;
    drive_until_asked(connect, &answers, 2);
    assert_int_equal(happy_connect_confirm(connect, answers.fds[1], HAPPY_CONFIRM_NO), HAPPY_OK);
    assert_true(is_readable(happy_connect_get_fd(connect)));
    assert_int_equal(happy_connect_dispatch(connect), HAPPY_OK);
    assert_int_equal(happy_connect_take_result(connect, &result), -1);
    assert_int_equal(result.sys_errno, ECONNABORTED);
    happy_connect_free(connect);
}

static void a_limit_a_cancel_and_the_end_of_the_connect_take_the_socket_back(void **state)
{
    (void)state;
    enum { LIMIT, OPEN_LIMIT, CANCEL, FREE, WAYS };
    for (int way = 0; way < WAYS; way++) {
        struct answers answers = new_answers(HAPPY_CONFIRM_LATER, HAPPY_CONFIRM_LATER);
        happy_options options = options_with(&answers);
        happy_result result = HAPPY_RESULT_INIT;
        happy_connect *connect = NULL;
        if (way == LIMIT)
            options.connect_timeout_ms = 1;
        if (way == OPEN_LIMIT)
            options.open_timeout_ms = 1500;
        assert_int_equal(happy_connect_new(NULL, NULL, &options, &connect, NULL), HAPPY_OK);
        if (way == LIMIT || way == OPEN_LIMIT) {
            assert_int_equal(happy_connect_wait(connect), HAPPY_OK);
        } else {
            drive_until_asked(connect, &answers, 2);
            if (way == CANCEL) {
                happy_connect_cancel(connect);
                assert_int_equal(happy_connect_wait(connect), HAPPY_OK);
            }
        }
        if (way != FREE) {
            assert_int_equal(happy_connect_take_result(connect, &result), -1);
            assert_int_equal(result.status, way == CANCEL ? HAPPY_ECANCELLED : HAPPY_ETIMEOUT);
        }
        happy_connect_free(connect);
        /* A machine that stalls may reach a limit before the second was asked for. */
        for (int place = 0; place < 2; place++)
            assert_int_equal(answers.released[place], answers.asked[place]);
        assert_int_equal(answers.ended, 1);
    }
}

static void call_inside(struct answers *answers, int fd)
{
    assert_int_equal(happy_connect_confirm(answers->context, fd, HAPPY_CONFIRM_YES), HAPPY_EREENTRANT);
    answers->finished++;
}

static void what_cannot_be_answered_for_is_refused(void **state)
{
    struct answers answers = new_answers(HAPPY_CONFIRM_LATER, HAPPY_CONFIRM_LATER);
    (void)state;
    happy_connect *connect = new_connect(&answers);
    answers.context = connect;
    answers.meanwhile = call_inside;
    assert_int_equal(happy_connect_confirm(NULL, 0, HAPPY_CONFIRM_YES), HAPPY_EINVALID);
    assert_int_equal(happy_connect_confirm(connect, -1, HAPPY_CONFIRM_YES), HAPPY_ENOENT);
    drive_until_asked(connect, &answers, 1);
    assert_int_equal(answers.finished, answers.asked[0] + answers.asked[1]);
    int held = answers.fds[0];
    assert_int_equal(happy_connect_confirm(connect, held, HAPPY_CONFIRM_LATER), HAPPY_EINVALID);
    assert_non_null(strstr(happy_error_message(), "wanted"));
    assert_int_equal(happy_connect_confirm(connect, held, -1), HAPPY_EINVALID);
    assert_int_equal(happy_connect_confirm(connect, servers[0], HAPPY_CONFIRM_NO), HAPPY_ENOENT);
    /* Nothing of that has changed anything. */
    pid_t child = fork();
    if (child == 0)
        _exit(happy_connect_confirm(connect, held, HAPPY_CONFIRM_YES) == HAPPY_EFORKED ? 0 : 1);
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(happy_connect_confirm(connect, held, HAPPY_CONFIRM_YES), HAPPY_OK);
    assert_int_equal(happy_connect_wait(connect), HAPPY_OK);
    assert_int_equal(happy_connect_take_result(connect, NULL), held);
    close(held);
    happy_connect_free(connect);

    happy_options options = HAPPY_OPTIONS_INIT;
    happy_result result = HAPPY_RESULT_INIT;
    options.release_socket = release_socket;
    assert_int_equal(init_inetsock_happy("127.0.0.1", "80", &options, &result), -1);
    assert_int_equal(result.status, HAPPY_EINVALID);
    assert_string_equal(result.argument, "release_socket");
}

/* A thread that does the caller's handshake, and then wants the connect for itself. */
static void *hand_shake(void *connect)
{
    happy_connect_interrupt(connect);
    return NULL;
}

static void start_handshake(struct answers *answers, int fd)
{
    pthread_t *thread = answers->context;
    (void)fd;
    if (answers->finished++ == 0)
        assert_int_equal(pthread_create(&thread[0], NULL, hand_shake, *(void **)&thread[1]), 0);
}

static void a_wait_is_interrupted_for_an_answer(void **state)
{
    struct answers answers = new_answers(HAPPY_CONFIRM_LATER, HAPPY_CONFIRM_LATER);
    (void)state;
    happy_connect *connect = new_connect(&answers);
    pthread_t thread[2];
    memcpy(&thread[1], &connect, sizeof connect);
    answers.context = thread;
    answers.meanwhile = start_handshake;
    assert_int_equal(happy_connect_wait(connect), HAPPY_EAGAIN);
    pthread_join(thread[0], NULL);
    int held = answers.fds[0];
    assert_int_equal(happy_connect_confirm(connect, held, HAPPY_CONFIRM_YES), HAPPY_OK);
    assert_int_equal(happy_connect_wait(connect), HAPPY_OK);
    assert_int_equal(happy_connect_take_result(connect, NULL), held);
    close(held);
    happy_connect_free(connect);
}

/* ---- Many at once ------------------------------------------------------------------------------------------------ */

static void done(happy_multi *multi, uint64_t id, const happy_result *result, void *userdata)
{
    struct answers *answers = userdata;
    answers->finished++;
    assert_int_equal(happy_multi_confirm(multi, id, result->fd, HAPPY_CONFIRM_YES), HAPPY_EREENTRANT);
    if (result->status == HAPPY_OK) {
        assert_true(result->fd == answers->fds[0] || result->fd == answers->fds[1]);
        check_socket(result->fd, false);
        close(result->fd);
    }
}

/* The descriptors that a handle driven by socket action has the test watch: at most one for each of those open. */
static struct pollfd watched[64];
static nfds_t watched_count;
static int timer_ms;

static void watch(happy_multi *multi, int fd, int what, void *socket_data, void *userdata)
{
    nfds_t place = 0;
    (void)multi, (void)socket_data, (void)userdata;
    while (place < watched_count && watched[place].fd != fd)
        place++;
    if (what == HAPPY_POLL_REMOVE) {
        assert_true(place < watched_count);
        watched[place] = watched[--watched_count];
        return;
    }
    assert_true(place < COUNT_OF(watched));
    if (place == watched_count)
        watched_count++;
    watched[place] = (struct pollfd){.fd = fd, .events = what & HAPPY_POLL_IN ? POLLIN : POLLOUT};
}

static void set_timer(happy_multi *multi, int timeout_ms, void *userdata)
{
    (void)multi, (void)userdata;
    timer_ms = timeout_ms;
}

static void turn(happy_multi *multi, bool by_socket)
{
    if (!by_socket) {
        assert_int_equal(happy_multi_wait(multi, PATIENCE_MS, NULL), HAPPY_OK);
        return;
    }
    int fd = HAPPY_SOCKET_TIMEOUT;
    if (poll(watched, watched_count, timer_ms) > 0)
        for (nfds_t place = 0; place < watched_count; place++)
            if (watched[place].revents != 0)
                fd = watched[place].fd;
    assert_int_equal(happy_multi_socket_action(multi, fd, 0, NULL), HAPPY_OK);
}

static void many_at_once_are_answered_for_by_their_number(void **state)
{
    (void)state;
    for (int by_socket = 0; by_socket < 2; by_socket++) {
        happy_multi *multi = NULL;
        struct answers answers[3];
        uint64_t ids[3];
        assert_int_equal(happy_multi_new(&multi), HAPPY_OK);
        if (by_socket) {
            assert_int_equal(happy_multi_set_socket_callback(multi, watch, NULL), HAPPY_OK);
            assert_int_equal(happy_multi_set_timer_callback(multi, set_timer, NULL), HAPPY_OK);
        }
        for (int i = 0; i < 3; i++) {
            answers[i] = new_answers(HAPPY_CONFIRM_LATER, HAPPY_CONFIRM_LATER);
            happy_options options = options_with(&answers[i]);
            assert_int_equal(happy_multi_add(multi, NULL, NULL, &options, done, &ids[i], NULL, &answers[i]), HAPPY_OK);
        }
        for (int i = 0; i < 3; i++)
            while (answers[i].asked[0] + answers[i].asked[1] < 2)
                turn(multi, by_socket);
        int held[2] = {answers[0].fds[0], answers[0].fds[1]};
        /* Each is its own connect's. */
        assert_int_equal(happy_multi_confirm(multi, ids[1], held[0], HAPPY_CONFIRM_YES), HAPPY_ENOENT);
        assert_int_equal(happy_multi_confirm(multi, ids[0] + 1000, held[0], HAPPY_CONFIRM_YES), HAPPY_ENOENT);
        assert_int_equal(happy_multi_confirm(multi, ids[0], held[0], HAPPY_CONFIRM_LATER), HAPPY_EINVALID);
        assert_int_equal(happy_multi_confirm(NULL, ids[0], held[0], HAPPY_CONFIRM_YES), HAPPY_EINVALID);
        /* The held sockets are the caller's to watch. */
        for (nfds_t place = 0; place < watched_count; place++)
            for (int i = 0; i < 3; i++)
                assert_true(watched[place].fd != answers[i].fds[0] && watched[place].fd != answers[i].fds[1]);
        /* The first: one answer decides. */
        assert_int_equal(happy_multi_confirm(multi, ids[0], held[1], HAPPY_CONFIRM_YES), HAPPY_OK);
        assert_int_equal(answers[0].finished, 1);
        assert_int_equal(answers[0].released[0], 1);
        assert_int_equal(answers[0].released[1], 0);
        assert_int_equal(happy_multi_confirm(multi, ids[0], held[1], HAPPY_CONFIRM_YES), HAPPY_ENOENT);
        /* The second: twice no. */
        assert_int_equal(happy_multi_confirm(multi, ids[1], answers[1].fds[0], HAPPY_CONFIRM_NO), HAPPY_OK);
        assert_int_equal(answers[1].finished, 0);
        assert_int_equal(happy_multi_confirm(multi, ids[1], answers[1].fds[1], HAPPY_CONFIRM_NO), HAPPY_OK);
        assert_int_equal(answers[1].finished, 1);
        assert_int_equal(answers[1].released[0] + answers[1].released[1], 0);
        /* The third is held until the handle goes. */
        happy_multi_free(multi);
        assert_int_equal(answers[2].finished, 1);
        assert_int_equal(answers[2].released[0], 1);
        assert_int_equal(answers[2].released[1], 1);
        for (int i = 0; i < 3; i++)
            assert_int_equal(answers[i].ended, 1);
        assert_int_equal(watched_count, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RACE_TEST(the_first_that_is_confirmed_wins),
        RACE_TEST(one_that_is_rejected_has_failed_and_the_next_starts),
        RACE_TEST(without_a_yes_the_connect_fails),
        RACE_TEST(two_are_held_and_the_one_that_is_confirmed_wins),
        RACE_TEST(a_no_that_comes_later_starts_the_next_at_once),
        RACE_TEST(the_last_no_ends_the_connect),
        RACE_TEST(a_limit_a_cancel_and_the_end_of_the_connect_take_the_socket_back),
        RACE_TEST(what_cannot_be_answered_for_is_refused),
        RACE_TEST(a_wait_is_interrupted_for_an_answer),
        RACE_TEST(many_at_once_are_answered_for_by_their_number),
    };
    return cmocka_run_group_tests(tests, start_servers, NULL);
}
