#define _GNU_SOURCE
#include "multi_support.h"
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* No connect may end inside happy_multi_add. */
static bool inside_add;

int dual_port;
static int dual[2];

void done(happy_multi *multi, uint64_t id, const happy_result *result, void *userdata)
{
    struct entry *entry = userdata;
    assert_false(inside_add);
    entry->id = id;
    entry->ended++;
    entry->status = result->status;
    entry->sys_errno = result->sys_errno;
    entry->attempts = result->attempts_count;
    entry->family = result->address.ss_family;
    snprintf(entry->syscall, sizeof entry->syscall, "%s", result->syscall ? result->syscall : "");
    assert_true(result->attempts_capacity >= result->attempts_count);
    for (uint32_t i = 0; i < result->attempts_count; i++)
        assert_int_not_equal(result->attempts[i].outcome, HAPPY_OUTCOME_RUNNING);
    if (result->status == HAPPY_OK) {
        check_socket(result->fd, false);
        assert_int_equal(result->attempts[result->attempts_count - 1].ended_ns > 0, 1);
        close(result->fd);
    } else {
        assert_int_equal(result->fd, -1);
    }
    if (entry->then)
        entry->then(multi, entry);
}

int add_with(happy_multi *multi, const char *host, int port, const happy_options *options, struct entry *entry)
{
    inside_add = true;
    int status = happy_multi_add(multi, host, service(port), options, done, &entry->id, NULL, entry);
    inside_add = false;
    return status;
}

void add(happy_multi *multi, const char *host, int port, struct entry *entry)
{
    assert_int_equal(add_with(multi, host, port, NULL, entry), HAPPY_OK);
}

void drive_until(happy_multi *multi, int left)
{
    double until = now_ms() + PATIENCE_MS;
    int running = left + 1;
    while (running > left && now_ms() < until)
        assert_int_equal(happy_multi_wait(multi, 1000, &running), HAPPY_OK);
    assert_int_equal(running, left);
}

void wait_for_userdata_frees(const struct script *script, int count)
{
    double until = now_ms() + PATIENCE_MS;
    while (__atomic_load_n(&script->userdata_frees, __ATOMIC_SEQ_CST) != count && now_ms() < until)
        usleep(1000);
    assert_int_equal(script->userdata_frees, count);
}

int open_servers(void **state)
{
    (void)state;
    listen_on_both("::1", "127.0.0.1", dual, &dual_port);
    return 0;
}

int close_servers(void **state)
{
    (void)state;
    close(dual[0]);
    close(dual[1]);
    wait_for_workers_to_leave();
    return 0;
}
