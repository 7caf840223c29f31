/* happy_multi, and what a fork does to it. */
#define _GNU_SOURCE
#include "multi_support.h"
#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

static void a_child_of_a_fork_leaves_it_alone(void **state)
{
    struct entry entries[3] = {0};
    int running = 77, status = 0;
    uint64_t id;
    (void)state;
    /* What threads of the parent's own the child of a fork cannot free. */
    wait_for_workers_to_leave();
    happy_multi *multi = NULL;
    assert_int_equal(happy_multi_new(&multi), HAPPY_OK);
    add(multi, "192.0.2.77", 80, &entries[0]);
    happy_multi_dispatch(multi, NULL);
    add(multi, "127.0.0.1", dual_port, &entries[1]);
    happy_multi_dispatch(multi, NULL);
    pid_t child = fork();
    if (child == 0) {
        bool good = happy_multi_dispatch(multi, &running) == HAPPY_EFORKED &&
                    happy_multi_wait(multi, 0, &running) == HAPPY_EFORKED &&
                    happy_multi_socket_action(multi, HAPPY_SOCKET_TIMEOUT, 0, &running) == HAPPY_EFORKED &&
                    happy_multi_cancel(multi, entries[0].id) == HAPPY_EFORKED &&
                    happy_multi_add(multi, "::1", "80", NULL, done, &id, NULL, NULL) == HAPPY_EFORKED &&
                    happy_multi_wakeup(multi) == HAPPY_EFORKED && happy_multi_get_fd(multi) == -1 &&
                    errno == ESTALE && happy_multi_get_timeout_ms(multi) == -1 &&
                    happy_multi_set_max_attempts(multi, 1) == HAPPY_EFORKED && running == 77;
        happy_multi_free(multi);
        _exit(good && entries[0].ended + entries[1].ended == 0 ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    /* The parent's goes on: nothing was taken out of its set. */
    drive_until(multi, 1);
    assert_int_equal(entries[1].status, HAPPY_OK);
    add(multi, "127.0.0.1", dual_port, &entries[2]);
    drive_until(multi, 1);
    happy_multi_free(multi);
    assert_int_equal(entries[0].status, HAPPY_ECANCELLED);
}

/* A child that was forked while an attempt was in flight has its socket open: the parent must not hear of it for ever.
 */
static void a_child_that_keeps_the_sockets_open_does_no_harm(void **state)
{
    struct entry entry = {0};
    int hold[2], refused = closed_port();
    (void)state;
    assert_int_equal(pipe(hold), 0);
    happy_multi *multi = NULL;
    assert_int_equal(happy_multi_new(&multi), HAPPY_OK);
    int fd = happy_multi_get_fd(multi);
    add(multi, "127.0.0.1", refused, &entry);
    happy_multi_dispatch(multi, NULL);
    pid_t child = fork();
    if (child == 0) {
        char byte;
        close(hold[1]);
        _exit(read(hold[0], &byte, 1) == 0 ? 0 : 1);
    }
    drive_until(multi, 0);
    assert_int_equal(entry.sys_errno, ECONNREFUSED);
    happy_multi_dispatch(multi, NULL);
    assert_false(is_readable(fd));
    happy_multi_free(multi);
    close(hold[0]);
    close(hold[1]);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_child_of_a_fork_leaves_it_alone),
        cmocka_unit_test(a_child_that_keeps_the_sockets_open_does_no_harm),
    };
    return cmocka_run_group_tests_name("happy_multi and forks", tests, open_servers, close_servers);
}
