/* The scenarios of many connects: happy_multi. */
#define _GNU_SOURCE
#include "answers.h"
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>

/* One connect of a handle: what it should come to, and what it did. */
struct entry {
    struct expected expected;
    enum weather weather;
    struct report *report;
    int done;
};

static void entry_done(happy_multi *multi, uint64_t id, const happy_result *result, void *userdata)
{
    struct entry *entry = userdata;
    (void)multi, (void)id;
    if (++entry->done > 1)
        complain(entry->report, "a done callback was called %d times", entry->done);
    judge_result(result->fd, 1, result, entry->expected, entry->weather, entry->report);
}

#define ENTRIES 3

/* A handle for one that connects, one that does after a while, one that fails. NULL if there is none, which is
 * documented for a fault. */
static happy_multi *fill(struct entry *entries, enum weather weather, struct report *report)
{
    errno = 0;
    happy_multi *multi = NULL;
    if (happy_multi_new(&multi) != HAPPY_OK) {
        if (weather != FAULTY || errno == 0)
            complain(report, "happy_multi_new: errno %d", errno);
        return NULL;
    }
    entries[0] = (struct entry){connected, weather, report, 0};
    entries[1] = (struct entry){connected, weather, report, 0};
    entries[2] = (struct entry){nobody_listens, weather, report, 0};
    return multi;
}

static void add_entries(happy_multi *multi, struct entry *entries, const struct world *world, struct report *report)
{
    happy_options patient = HAPPY_OPTIONS_INIT;
    patient.connection_attempt_delay_ms = 10;
    patient.open_timeout_ms = ample(entries->weather);
    const char *hosts[ENTRIES] = {world->dual, world->dual, "127.0.0.1"};
    const char *ports[ENTRIES] = {world->live, world->v6_silent, world->refused};
    for (int i = 0; i < ENTRIES; i++) {
        uint64_t id = 0;
        int status =
            happy_multi_add(multi, hosts[i], ports[i], i == 1 ? &patient : NULL, entry_done, &id, NULL, &entries[i]);
        if (status != HAPPY_OK || id == 0)
            complain(report, "happy_multi_add answers %d", status);
        if (entries[i].done != 0)
            complain(report, "done was called from inside happy_multi_add");
    }
}

static void all_done(const struct entry *entries, struct report *report)
{
    for (int i = 0; i < ENTRIES; i++)
        if (entries[i].done != 1)
            complain(report, "connect %d had %d completions", i, entries[i].done);
}

SCENARIO(multi_waited_for)
{
    struct entry entries[ENTRIES];
    happy_multi *multi = fill(entries, weather, report);
    if (multi == NULL)
        return;
    add_entries(multi, entries, world, report);
    int left = 1, status = HAPPY_OK;
    while (left > 0 && status == HAPPY_OK)
        status = happy_multi_wait(multi, -1, &left);
    if (status != HAPPY_OK)
        complain(report, "happy_multi_wait answers %d", status);
    all_done(entries, report);
    happy_multi_free(multi);
}

SCENARIO(multi_polled)
{
    struct entry entries[ENTRIES];
    happy_multi *multi = fill(entries, weather, report);
    if (multi == NULL)
        return;
    int fd = happy_multi_get_fd(multi);
    if (fd < 0)
        complain(report, "happy_multi_get_fd: errno %d", errno);
    add_entries(multi, entries, world, report);
    int left = 1;
    while (fd >= 0 && left > 0) {
        /* The one descriptor says it all: there is no other limit to this wait. */
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        poll(&wait, 1, -1);
        int status = happy_multi_dispatch(multi, &left);
        if (status != HAPPY_OK) {
            complain(report, "happy_multi_dispatch answers %d", status);
            break;
        }
    }
    all_done(entries, report);
    happy_multi_free(multi);
}

/* A loop of the caller's: what it watches, and until when it sleeps. */
struct loop {
    struct pollfd watched[16];
    int count;
    double timer; /* in the seconds of seconds_now(), or -1 */
    struct report *report;
};

static void loop_watch(happy_multi *multi, int fd, int what, void *socket_data, void *userdata)
{
    struct loop *loop = userdata;
    (void)multi, (void)socket_data;
    if (fcntl(fd, F_GETFD) == -1)
        complain(loop->report, "the socket callback is told of descriptor %d, which is not open", fd);
    int place = 0;
    while (place < loop->count && loop->watched[place].fd != fd)
        place++;
    if (what == HAPPY_POLL_REMOVE) {
        if (place == loop->count)
            complain(loop->report, "descriptor %d is removed but was not watched", fd);
        else
            loop->watched[place] = loop->watched[--loop->count];
        return;
    }
    if (place == loop->count)
        loop->count++;
    loop->watched[place] = (struct pollfd){
        .fd = fd, .events = (short)((what & HAPPY_POLL_IN ? POLLIN : 0) | (what & HAPPY_POLL_OUT ? POLLOUT : 0))};
}

static void loop_timer(happy_multi *multi, int timeout_ms, void *userdata)
{
    (void)multi;
    ((struct loop *)userdata)->timer = timeout_ms < 0 ? -1 : seconds_now() + timeout_ms / 1e3;
}

SCENARIO(multi_by_socket_action)
{
    struct entry entries[ENTRIES];
    happy_multi *multi = fill(entries, weather, report);
    if (multi == NULL)
        return;
    struct loop loop = {.timer = -1, .report = report};
    if (happy_multi_set_socket_callback(multi, loop_watch, &loop) != HAPPY_OK ||
        happy_multi_set_timer_callback(multi, loop_timer, &loop) != HAPPY_OK)
        complain(report, "a callback is refused");
    add_entries(multi, entries, world, report);
    int left = 1;
    while (left > 0 && report->message[0] == '\0') {
        struct pollfd ready[16];
        int count = loop.count, timeout_ms = -1;
        if (loop.timer >= 0) {
            double time = loop.timer - seconds_now();
            timeout_ms = time > 0 ? (int)(time * 1e3) + 1 : 0;
        }
        memcpy(ready, loop.watched, sizeof ready);
        int found = poll(ready, (nfds_t)count, timeout_ms);
        if (loop.timer >= 0 && seconds_now() >= loop.timer) {
            loop.timer = -1;
            happy_multi_socket_action(multi, HAPPY_SOCKET_TIMEOUT, 0, &left);
        }
        for (int i = 0; i < count && found > 0; i++)
            if (ready[i].revents != 0)
                happy_multi_socket_action(multi, ready[i].fd, 0, &left);
    }
    all_done(entries, report);
    happy_multi_free(multi);
    if (loop.count != 0)
        complain(report, "%d descriptors are still watched", loop.count);
}

SCENARIO(multi_cancelled_and_freed)
{
    struct entry entries[ENTRIES];
    happy_multi *multi = fill(entries, weather, report);
    if (multi == NULL)
        return;
    const char *hosts[ENTRIES] = {world->stuck != NULL ? world->stuck : stuck_name(), "::1", "127.0.0.1"};
    uint64_t ids[ENTRIES];
    for (int i = 0; i < ENTRIES; i++) {
        entries[i].expected = cancelled;
        happy_multi_add(multi, hosts[i], world->silent, NULL, entry_done, &ids[i], NULL, &entries[i]);
    }
    happy_multi_wait(multi, 1, NULL);
    /* What a fault has ended already is not there to be cancelled. */
    int status = happy_multi_cancel(multi, ids[1]);
    if (status != HAPPY_OK && !(weather == FAULTY && status == HAPPY_ENOENT))
        complain(report, "happy_multi_cancel answers %d", status);
    if (entries[1].done != 1 || happy_multi_cancel(multi, ids[1]) != HAPPY_ENOENT)
        complain(report, "a connect that was cancelled is still there");
    happy_multi_free(multi);
    all_done(entries, report);
    lookups_release();
}

static const struct scenario scenarios[] = {
    ENTRY(multi_waited_for, false),
    ENTRY(multi_polled, false),
    ENTRY(multi_by_socket_action, false),
    ENTRY(multi_cancelled_and_freed, false),
};
const struct scenario_group multi_scenarios = {scenarios, sizeof scenarios / sizeof *scenarios};
