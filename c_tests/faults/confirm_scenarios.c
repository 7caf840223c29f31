/* The scenarios of connections that are confirmed or refused by the caller. */
#define _GNU_SOURCE
#include "answers.h"
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>

static const struct expected refused_by_caller = {HAPPY_ESYSCALL, 0, ECONNABORTED};

/* The sockets that one connect has given to its caller to decide on. */
struct holder {
    struct report *report;
    int held[8];
    int count;
    int asked;
    /* Which connection, counted from 1, is the first that is wanted. */
    int wanted_from;
};

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) != -1;
}

static int ask(int fd, const struct sockaddr *address, struct holder *holder)
{
    struct sockaddr_storage peer;
    socklen_t length = sizeof peer;
    if (!is_open(fd) || getpeername(fd, (struct sockaddr *)&peer, &length) != 0)
        complain(holder->report, "the socket %d to confirm is not connected", fd);
    else if (peer.ss_family != address->sa_family)
        complain(holder->report, "the socket %d to confirm is connected elsewhere", fd);
    return ++holder->asked >= holder->wanted_from;
}

static int say_later(int fd, const struct sockaddr *address, socklen_t length, void *userdata)
{
    struct holder *holder = userdata;
    (void)length;
    ask(fd, address, holder);
    if (holder->count == 8) {
        complain(holder->report, "more sockets are held than there are addresses");
        return HAPPY_CONFIRM_NO;
    }
    holder->held[holder->count++] = fd;
    return HAPPY_CONFIRM_LATER;
}

static int say_at_once(int fd, const struct sockaddr *address, socklen_t length, void *userdata)
{
    (void)length;
    return ask(fd, address, userdata) ? HAPPY_CONFIRM_YES : HAPPY_CONFIRM_NO;
}

/* Of a socket that was not answered for; it is closed only after this. */
static void give_back(int fd, void *userdata)
{
    struct holder *holder = userdata;
    int place = 0;
    while (place < holder->count && holder->held[place] != fd)
        place++;
    if (place == holder->count)
        complain(holder->report, "socket %d is released but is not held", fd);
    else
        holder->held[place] = holder->held[--holder->count];
    if (!is_open(fd))
        complain(holder->report, "socket %d is released but closed already", fd);
}

/* The caller looks at what it holds, as at a handshake: the server's byte is waited for and left there. */
static int look(struct holder *holder, int fd)
{
    struct pollfd greeting = {.fd = fd, .events = POLLIN};
    int ready = poll(&greeting, 1, 5000);
    while (ready == -1 && errno == EINTR)
        ready = poll(&greeting, 1, 5000);
    if (ready != 1)
        complain(holder->report, "the server does not greet on a socket that is held");
    return holder->asked >= holder->wanted_from ? HAPPY_CONFIRM_YES : HAPPY_CONFIRM_NO;
}

static happy_options confirming(struct holder *holder, happy_confirm_fn confirm, enum weather weather)
{
    happy_options options = HAPPY_OPTIONS_INIT;
    options.confirm = confirm;
    options.release_socket = confirm == say_later ? give_back : NULL;
    options.userdata = holder;
    options.open_timeout_ms = ample(weather);
    return options;
}

static void nothing_is_held(const struct holder *holder)
{
    if (holder->count != 0)
        complain(holder->report, "%d sockets are held after the end", holder->count);
}

/* The first address is refused, and the second, which is attempted because of that, wins. */
SCENARIO(confirmed_at_once)
{
    struct holder holder = {.report = report, .wanted_from = 2};
    happy_options options = confirming(&holder, say_at_once, weather);
    happy_attempt attempts[8];
    happy_result result = HAPPY_RESULT_INIT;
    result.attempts = attempts;
    result.attempts_capacity = 8;
    errno = 0;
    int fd = init_inetsock_happy("dual.test", world->live, &options, &result);
    judge_result(fd, errno, &result, connected, weather, report);
    if (weather == FINE && holder.asked != 2)
        complain(report, "confirm was called %d times", holder.asked);
}

/* The same, with answers that come later, from a loop. */
SCENARIO(confirmed_later)
{
    struct holder holder = {.report = report, .wanted_from = 2};
    happy_options options = confirming(&holder, say_later, weather);
    happy_connect *connect = NULL;
    if (happy_connect_new("dual.test", world->live, &options, &connect, NULL) != HAPPY_OK) {
        complain(report, "happy_connect_new: %s", happy_error_message());
        return;
    }
    while (happy_connect_dispatch(connect) == HAPPY_EAGAIN) {
        if (holder.count == 0) {
            /* Without a descriptor the loop can only look again. */
            int fd = happy_connect_get_fd(connect), timeout_ms = happy_connect_get_timeout_ms(connect);
            struct pollfd wait = {.fd = fd, .events = POLLIN};
            poll(&wait, 1, fd >= 0 ? timeout_ms : 1);
            continue;
        }
        int fd = holder.held[--holder.count];
        int status = happy_connect_confirm(connect, fd, look(&holder, fd));
        if (status != HAPPY_OK)
            complain(report, "happy_connect_confirm answers %d", status);
        status = happy_connect_confirm(connect, fd, HAPPY_CONFIRM_YES);
        if (status != HAPPY_ENOENT)
            complain(report, "happy_connect_confirm answers %d the second time", status);
    }
    happy_attempt attempts[8];
    happy_result result = HAPPY_RESULT_INIT;
    result.attempts = attempts;
    result.attempts_capacity = 8;
    errno = 0;
    int fd = happy_connect_take_result(connect, &result);
    judge_result(fd, errno, &result, connected, weather, report);
    nothing_is_held(&holder);
    happy_connect_free(connect);
}

/* An address is held, or both where their answers come together (on the loopback nothing delays the second), and nobody
 * answers before the end. */
SCENARIO(freed_while_held)
{
    struct holder holder = {.report = report};
    happy_options options = confirming(&holder, say_later, weather);
    options.connection_attempt_delay_ms = 10000;
    happy_connect *connect = NULL;
    if (happy_connect_new("dual.test", world->live, &options, &connect, NULL) != HAPPY_OK) {
        complain(report, "happy_connect_new: %s", happy_error_message());
        return;
    }
    while (holder.asked == 0 && happy_connect_dispatch(connect) == HAPPY_EAGAIN) {
        int fd = happy_connect_get_fd(connect), timeout_ms = happy_connect_get_timeout_ms(connect);
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        if (holder.asked == 0)
            poll(&wait, 1, fd >= 0 ? timeout_ms : 1);
    }
    if (weather != FAULTY && holder.count == 0)
        complain(report, "nothing is held");
    happy_connect_free(connect);
    nothing_is_held(&holder);
}

/* One connect of a handle, and what it should come to. */
struct member {
    struct holder holder;
    struct expected expected;
    enum weather weather;
    uint64_t id;
    int done;
};

static void member_done(happy_multi *multi, uint64_t id, const happy_result *result, void *userdata)
{
    struct member *member = userdata;
    (void)multi, (void)id;
    if (++member->done > 1)
        complain(member->holder.report, "a done callback was called %d times", member->done);
    judge_result(result->fd, 1, result, member->expected, member->weather, member->holder.report);
}

#define MEMBERS 4

/* One is confirmed at its second address, one refused at both, one confirmed at once, one cancelled while it is held. */
SCENARIO(multi_confirmed)
{
    errno = 0;
    happy_multi *multi = NULL;
    if (happy_multi_new(&multi) != HAPPY_OK) {
        if (weather != FAULTY || errno == 0)
            complain(report, "happy_multi_new: errno %d", errno);
        return;
    }
    struct member members[MEMBERS] = {
        {.holder = {.report = report, .wanted_from = 2}, .expected = connected, .weather = weather},
        {.holder = {.report = report, .wanted_from = 99}, .expected = refused_by_caller, .weather = weather},
        {.holder = {.report = report}, .expected = connected, .weather = weather},
        {.holder = {.report = report}, .expected = cancelled, .weather = weather},
    };
    for (int i = 0; i < MEMBERS; i++) {
        happy_options options = confirming(&members[i].holder, i == 2 ? say_at_once : say_later, weather);
        int status = happy_multi_add(multi, "dual.test", world->live, &options, member_done, &members[i].id, NULL,
                                     &members[i]);
        if (status != HAPPY_OK)
            complain(report, "happy_multi_add answers %d", status);
    }
    int left = 1;
    while (left > 0 && report->message[0] == '\0') {
        bool answered = false;
        for (int i = 0; i < MEMBERS; i++) {
            struct member *member = &members[i];
            if (member->done != 0 || member->holder.count == 0)
                continue;
            answered = true;
            if (i == 3) {
                /* Its end gives the socket back. */
                happy_multi_cancel(multi, member->id);
                continue;
            }
            int fd = member->holder.held[--member->holder.count];
            int status = happy_multi_confirm(multi, member->id, fd, look(&member->holder, fd));
            if (status != HAPPY_OK)
                complain(report, "happy_multi_confirm answers %d", status);
        }
        if (happy_multi_wait(multi, answered ? 0 : 8000, &left) != HAPPY_OK)
            complain(report, "happy_multi_wait fails");
    }
    for (int i = 0; i < MEMBERS; i++) {
        if (members[i].done != 1)
            complain(report, "connect %d had %d completions", i, members[i].done);
        nothing_is_held(&members[i].holder);
    }
    happy_multi_free(multi);
}

static const struct scenario scenarios[] = {
    ENTRY(confirmed_at_once, false),
    ENTRY(confirmed_later, false),
    ENTRY(freed_while_held, false),
    ENTRY(multi_confirmed, false),
};
const struct scenario_group confirm_scenarios = {scenarios, sizeof scenarios / sizeof *scenarios};
