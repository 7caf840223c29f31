/* The scenarios of names that the library looks up by itself, and the list of those that run beside a name server: for
 * programs that are linked with the shim without lookups, in the network of scripts/in-test-network. */
#define _GNU_SOURCE
#include "../name_server.h"
#include "answers.h"
#include "shim.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

static const struct addrinfo stream = {.ai_socktype = SOCK_STREAM};

/* On a sound machine the library itself has answered, from this source, and no thread was made. */
static void judge_source(const char *source, const char *expected, enum weather weather, struct report *report)
{
    if (weather != FINE)
        return;
    if (source == NULL || strcmp(source, expected) != 0)
        complain(report, "%s has answered, not %s", source == NULL ? "nobody" : source, expected);
    if (census().threads != 1)
        complain(report, "there are %d threads", census().threads);
}

/* On the calling thread. */
static void asked(const char *name, int expected, enum weather weather, struct report *report)
{
    struct addrinfo *list = NULL;
    errno = 0;
    int answer = rb_getaddrinfo_happy(name, "80", &stream, &list, ample(weather));
    judge_lookup(answer, errno, list, expected, 0, weather, report);
    if (weather == FINE && census().threads != 1)
        complain(report, "there are %d threads", census().threads);
}

SCENARIO(asked_in_hosts)
{
    (void)world;
    asked("dual.test", 0, weather, report);
}

SCENARIO(asked_by_udp)
{
    (void)world;
    asked("both.test", 0, weather, report);
}

SCENARIO(asked_by_tcp)
{
    (void)world;
    asked("tc.test", 0, weather, report);
}

SCENARIO(asked_among_junk)
{
    (void)world;
    asked("junk.test", 0, weather, report);
}

SCENARIO(asked_in_vain)
{
    (void)world;
    asked("nx.test", EAI_NONAME, weather, report);
}

SCENARIO(asked_too_late)
{
    (void)world;
    struct addrinfo *list = NULL;
    errno = 0;
    int answer = rb_getaddrinfo_happy("silence.test", "80", &stream, &list, 10);
    judge_lookup(answer, errno, list, EAI_SYSTEM, ETIMEDOUT, weather, report);
}

/* By its descriptor alone; a fault may leave it without one. */
static void lookup_by_descriptor(const char *name, enum weather weather, struct report *report)
{
    happy_lookup *lookup = NULL;
    struct addrinfo *list = NULL, *again = NULL;
    happy_lookup_new(name, "80", &stream, ample(weather), &lookup);
    if (lookup == NULL) {
        complain(report, "happy_lookup_new: errno %d", errno);
        return;
    }
    errno = 0;
    int status = happy_lookup_start(lookup);
    if (status != HAPPY_OK) {
        if (weather != FAULTY || status != HAPPY_ESYSCALL || errno == 0)
            complain(report, "happy_lookup_start answers %d, errno %d", status, errno);
        happy_lookup_unref(lookup);
        return;
    }
    errno = 0;
    int fd = happy_lookup_get_fd(lookup);
    if (fd == -1) {
        if (weather != FAULTY || errno == 0)
            complain(report, "happy_lookup_get_fd: errno %d", errno);
        happy_lookup_wait(lookup);
    }
    while (fd != -1 && happy_lookup_dispatch(lookup) == HAPPY_EAGAIN) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        if (poll(&wait, 1, 9000) == 0) {
            complain(report, "the descriptor does not become readable");
            break;
        }
    }
    errno = 0;
    int answer = happy_lookup_take_result(lookup, &list);
    judge_lookup(answer, errno, list, 0, 0, weather, report);
    judge_source(happy_lookup_get_source(lookup), "dns", weather, report);
    answer = happy_lookup_take_result(lookup, &again);
    if (answer != HAPPY_ESTATE || again != NULL)
        complain(report, "a second answer, %d", answer);
    happy_lookup_unref(lookup);
}

SCENARIO(lookup_by_udp)
{
    (void)world;
    lookup_by_descriptor("both.test", weather, report);
}

SCENARIO(lookup_by_tcp)
{
    (void)world;
    lookup_by_descriptor("tc.test", weather, report);
}

SCENARIO(lookup_cancelled)
{
    (void)world;
    happy_lookup *lookup = NULL;
    struct addrinfo *list = NULL;
    happy_lookup_new("stall.test", "80", &stream, -1, &lookup);
    if (lookup == NULL || happy_lookup_start(lookup) != HAPPY_OK) {
        if (weather != FAULTY || lookup == NULL)
            complain(report, "the lookup does not start: errno %d", errno);
        happy_lookup_unref(lookup);
        return;
    }
    happy_lookup_get_fd(lookup);
    happy_lookup_dispatch(lookup);
    happy_lookup_cancel(lookup);
    errno = 0;
    int answer = happy_lookup_take_result(lookup, &list);
    judge_lookup(answer, errno, list, EAI_SYSTEM, ECANCELED, weather, report);
    happy_lookup_unref(lookup);
}

static void take(happy_connect *connect, int fd, happy_result *result, enum weather weather, struct report *report)
{
    judge_result(fd, errno, result, connected, weather, report);
    judge_source(result->source, "dns", weather, report);
    happy_connect_free(connect);
}

/* With room for what has become of each attempt. */
static happy_result with(happy_attempt *attempts, uint32_t capacity)
{
    happy_result result = HAPPY_RESULT_INIT;
    result.attempts = attempts;
    result.attempts_capacity = capacity;
    return result;
}

static happy_options patient(enum weather weather)
{
    happy_options options = HAPPY_OPTIONS_INIT;
    options.open_timeout_ms = ample(weather);
    return options;
}

SCENARIO(connect_by_name)
{
    happy_options options = patient(weather);
    happy_attempt attempts[8];
    happy_result result = with(attempts, 8);
    errno = 0;
    int fd = init_inetsock_happy("both.test", world->live, &options, &result);
    take(NULL, fd, &result, weather, report);
}

SCENARIO(connect_by_descriptor)
{
    happy_options options = patient(weather);
    happy_connect *connect = NULL;
    happy_attempt attempts[8];
    happy_result result = with(attempts, 8);
    int status = happy_connect_new("tc.test", world->live, &options, &connect, NULL);
    if (status != HAPPY_OK) {
        complain(report, "happy_connect_new answers %d: %s", status, happy_error_message());
        return;
    }
    int set = happy_connect_get_fd(connect);
    if (set == -1)
        happy_connect_wait(connect);
    while (set != -1 && happy_connect_dispatch(connect) == HAPPY_EAGAIN) {
        struct pollfd wait = {.fd = set, .events = POLLIN};
        if (poll(&wait, 1, 9000) == 0) {
            complain(report, "the descriptor does not become readable");
            break;
        }
    }
    errno = 0;
    int fd = happy_connect_take_result(connect, &result);
    take(connect, fd, &result, weather, report);
}

/* Those of this file, and behind them those of the handle for many. */
enum { OWN = 11, MOST = 20 };
static struct scenario scenarios[MOST] = {
    ENTRY_OF_CLIENT(asked_in_hosts, DECISIVE),
    ENTRY_OF_CLIENT(asked_by_udp, DECISIVE),
    ENTRY_OF_CLIENT(asked_by_tcp, DECISIVE),
    ENTRY_OF_CLIENT(asked_among_junk, DECISIVE),
    ENTRY_OF_CLIENT(asked_in_vain, DECISIVE),
    ENTRY_OF_CLIENT(asked_too_late, SPARED),
    ENTRY_OF_CLIENT(lookup_by_udp, DECISIVE),
    ENTRY_OF_CLIENT(lookup_by_tcp, DECISIVE),
    ENTRY_OF_CLIENT(lookup_cancelled, SPARED),
    ENTRY_OF_CLIENT(connect_by_name, DECISIVE),
    ENTRY_OF_CLIENT(connect_by_descriptor, DECISIVE),
};

const struct scenario *scenario_at(size_t place)
{
    return place < scenarios_count() ? &scenarios[place] : NULL;
}

size_t scenarios_count(void)
{
    return OWN + multi_scenarios.count;
}

/* The names are the name server's. Two connects of a handle go to the same one. */
void scenarios_begin(struct world *world)
{
    assert(scenarios[OWN - 1].run != NULL && scenarios[OWN].run == NULL && OWN + multi_scenarios.count <= MOST);
    world->dual = "both.test";
    world->slow = "tc.test";
    world->stuck = "silence.test";
    world->own_client = true;
    for (size_t i = 0; i < multi_scenarios.count; i++) {
        scenarios[OWN + i] = multi_scenarios.scenarios[i];
        scenarios[OWN + i].configuration = SPARED;
    }
    name_server_start_process();
}
