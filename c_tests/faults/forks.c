/* fork and exit: forks at random moments of a program with lookups and connects running; exits with stuck lookups.
 *
 *   forks [--short] [--seed N]
 *   forks_dns [--short] [--seed N]    lookups that the library makes itself, at random moments only */
#define _GNU_SOURCE
#include "scenarios.h"
#include "shim.h"

#include <happysock.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct world world;
static int forks;
static uint64_t seed = 1;

static const struct addrinfo stream = {.ai_socktype = SOCK_STREAM};

/* ---- The parent's work ---------------------------------------------------------------------------------------------- */

#define CONNECTS 25
#define LOOKUPS 25
#define HANDLES 4
static atomic_bool over;
static atomic_ulong connects_made, lookups_made;
static struct report *parent_report;

/* What the threads are busy with now, for the children to meddle with: a handle is here only while it is alive, and a child has a copy of
 * each. */
static _Atomic(happy_connect *) running_connects[CONNECTS];
static _Atomic(happy_lookup *) running_lookups[LOOKUPS];

static void *connect_again_and_again(void *argument)
{
    size_t place = (size_t)argument;
    const char *names[] = {world.slow, world.dual, world.slow, "127.0.0.1", "::1"};
    for (unsigned i = (unsigned)place; !over; i++) {
        happy_connect *connect = NULL;
        happy_result result = HAPPY_RESULT_INIT;
        happy_options options = HAPPY_OPTIONS_INIT;
        options.connection_attempt_delay_ms = 10;
        if (happy_connect_new(names[i % 5], i % 2 ? world.live : world.v6_refused, &options, &connect, NULL) != HAPPY_OK) {
            complain(parent_report, "happy_connect_new: %s", happy_error_message());
            break;
        }
        if (i % 3 == 0)
            happy_connect_get_fd(connect);
        running_connects[place] = connect;
        happy_connect_wait(connect);
        running_connects[place] = NULL;
        int fd = happy_connect_take_result(connect, &result);
        happy_connect_free(connect);
        bool refused = i % 2 == 0 && i % 5 == 4; /* ::1 at the port that refuses there */
        if (refused ? result.sys_errno != ECONNREFUSED : fd == -1)
            complain(parent_report, "in the parent: status %d, gai_error %d, errno %d", result.status, result.gai_error,
                     result.sys_errno);
        else if (fd != -1 && !server_answers(fd))
            complain(parent_report, "in the parent: the server does not answer");
        connects_made++;
    }
    return NULL;
}

static void *look_up_again_and_again(void *argument)
{
    size_t place = (size_t)argument;
    const char *names[] = {world.slow, world.dual, world.slow};
    for (unsigned i = (unsigned)place; !over; i++) {
        happy_lookup *lookup = NULL;
        happy_lookup_new(names[i % 3], "80", &stream, -1, &lookup);
        struct addrinfo *list = NULL;
        if (i % 2)
            happy_lookup_get_fd(lookup);
        if (lookup == NULL || happy_lookup_start(lookup) != HAPPY_OK) {
            complain(parent_report, "happy_lookup_start: %s", happy_error_message());
            break;
        }
        running_lookups[place] = lookup;
        happy_lookup_wait(lookup);
        running_lookups[place] = NULL;
        int answer = happy_lookup_take_result(lookup, &list);
        if (answer != 0 || list == NULL)
            complain(parent_report, "in the parent: a lookup answers %d", answer);
        else
            freeaddrinfo(list);
        happy_lookup_unref(lookup);
        lookups_made++;
    }
    return NULL;
}

static void connected(happy_multi *multi, uint64_t id, const happy_result *result, void *userdata)
{
    (void)multi, (void)id;
    if (result->fd == -1)
        complain(parent_report, "in the parent, of many: status %d, gai_error %d, errno %d", result->status, result->gai_error,
                 result->sys_errno);
    else if (!server_answers(result->fd))
        complain(parent_report, "in the parent, of many: the server does not answer");
    ++*(int *)userdata;
}

static void *connect_many_again_and_again(void *unused)
{
    const char *names[] = {world.dual, world.slow, world.dual};
    enum { MANY = sizeof names / sizeof *names };
    while (!over) {
        happy_multi *multi = NULL;
        int done = 0, left = 1;
        if (happy_multi_new(&multi) != HAPPY_OK) {
            complain(parent_report, "happy_multi_new: %s", happy_error_message());
            break;
        }
        for (int i = 0; i < MANY; i++)
            if (happy_multi_add(multi, names[i], world.live, NULL, connected, NULL, NULL, &done) != HAPPY_OK)
                complain(parent_report, "happy_multi_add: %s", happy_error_message());
        while (left > 0 && happy_multi_wait(multi, -1, &left) == HAPPY_OK)
            ;
        happy_multi_free(multi);
        if (done != MANY)
            complain(parent_report, "in the parent: %d of %d connects are done", done, MANY);
        connects_made += MANY;
    }
    return unused;
}

/* ---- The child's ---------------------------------------------------------------------------------------------------- */

static void resolve_and_connect(struct report *report)
{
    const char *names[] = {world.dual, "localhost"};
    for (int i = 0; i < 2; i++) {
        struct addrinfo *list = NULL;
        int answer = rb_getaddrinfo_happy(names[i], "80", &stream, &list, 5000);
        if (answer != 0)
            complain(report, "in the child: %s answers %d, errno %d", names[i], answer, errno);
        else
            freeaddrinfo(list);
        happy_options options = HAPPY_OPTIONS_INIT;
        options.open_timeout_ms = 5000;
        happy_result result = HAPPY_RESULT_INIT;
        int fd = init_inetsock_happy(names[i], world.live, &options, &result);
        if (fd == -1)
            complain(report, "in the child: %s: status %d, gai_error %d, errno %d", names[i], result.status, result.gai_error,
                     result.sys_errno);
        else if (!server_answers(fd))
            complain(report, "in the child: the server does not answer");
    }
}

/* The parent's handles, whatever state the fork found them in. */
static void meddle(struct report *report)
{
    for (int i = 0; i < CONNECTS; i++) {
        happy_connect *connect = running_connects[i];
        if (connect == NULL)
            continue;
        happy_connect_interrupt(connect);
        happy_connect_cancel(connect);
        if (happy_connect_dispatch(connect) != HAPPY_EFORKED)
            complain(report, "in the child: a connect of the parent's can be dispatched");
    }
    for (int i = 0; i < LOOKUPS; i++) {
        happy_lookup *lookup = running_lookups[i];
        if (lookup == NULL)
            continue;
        struct addrinfo *list;
        happy_lookup_cancel(lookup);
        happy_lookup_wait(lookup);
        if (happy_lookup_take_result(lookup, &list) != HAPPY_EFORKED)
            complain(report, "in the child: a lookup of the parent's can be taken");
        happy_lookup_unref(lookup);
    }
}

static _Noreturn void be_a_child(int number, struct report *report)
{
    /* A child that hangs ends, and that says so. */
    alarm(30);
    switch (number % 4) {
    case 0:
        resolve_and_connect(report);
        break;
    case 1:
        meddle(report);
        resolve_and_connect(report);
        break;
    case 2:
        meddle(report);
        exit(0);
    default:
        break;
    }
    _exit(0);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void fork_at_random_moments(struct report *report, void *unused)
{
    (void)unused;
    parent_report = report;
    struct census before = census();
    enum { THREADS = CONNECTS + LOOKUPS + HANDLES };
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        int error = pthread_create(&threads[i], NULL,
                                   i < CONNECTS             ? connect_again_and_again
                                   : i < CONNECTS + LOOKUPS ? look_up_again_and_again
                                                            : connect_many_again_and_again,
                                   (void *)(i < CONNECTS ? i : i - CONNECTS));
        if (error != 0) {
            complain(report, "the test has no thread: %s", strerror(error));
            _exit(0);
        }
    }
    double *took = calloc((size_t)forks, sizeof *took);
    struct report *children = mmap(NULL, sizeof *children * (size_t)forks, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    uint64_t random = seed;
    int alive = 0;
    for (int i = 0; i < forks; i++) {
        nanosleep(&(struct timespec){.tv_nsec = (long)(random_next(&random) % 3000000)}, NULL);
        double start = seconds_now();
        pid_t pid = fork();
        if (pid == 0)
            be_a_child(i, &children[i]);
        took[i] = seconds_now() - start;
        alive++;
        for (int status; alive > (i + 1 < forks ? 4 : 0); alive--) {
            if (wait(&status) == -1)
                break;
            if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
                complain(report, "a child %s %d", WIFSIGNALED(status) ? "was killed by signal" : "ended with status",
                         WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        }
        progress("forks: %d of %d, %lu connects, %lu lookups", i + 1, forks, connects_made, lookups_made);
    }
    over = true;
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < forks; i++)
        if (children[i].message[0] != '\0')
            complain(report, "%s", children[i].message);
    qsort(took, (size_t)forks, sizeof *took, compare);
    double median = took[forks / 2], most = took[forks - 1];
    printf("fork: median %.2f ms, longest %.2f ms, beside %lu connects and %lu lookups\n", median * 1e3, most * 1e3, connects_made,
           lookups_made);
    /* A machine that is busy with other things takes its time; a fork that waits for a lookup would take as long as that. */
    if (median > 0.05 || most > 0.5)
        complain(report, "fork took %.1f ms in the median, %.1f ms at most", median * 1e3, most * 1e3);
    if (connects_made < CONNECTS || lookups_made < LOOKUPS)
        complain(report, "only %lu connects and %lu lookups", connects_made, lookups_made);
    if (!settles(before.descriptors, -1))
        complain(report, "%d descriptors are left", census().descriptors - before.descriptors);
}

/* libc's own locks. A child that was forked while another thread held a lock inside getaddrinfo(3) (glibc's of resolv.conf, held for
 * microseconds) finds it locked for ever; no library above libc can open it. What is promised then is that the child is not stuck: the limit
 * holds. How many were struck is said, and must be few although the lookups here do nothing but take that lock. */
static void *look_up_in_libc(void *unused)
{
    while (!over) {
        struct addrinfo *list = NULL;
        if (rb_getaddrinfo_happy("localhost", "80", &stream, &list, -1) == 0)
            freeaddrinfo(list);
        lookups_made++;
    }
    return unused;
}

static void fork_inside_libc(struct report *report, void *unused)
{
    (void)unused;
    enum { THREADS = 4 };
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, look_up_in_libc, NULL);
    uint64_t random = seed;
    int struck = 0;
    for (int i = 0; i < forks; i++) {
        nanosleep(&(struct timespec){.tv_nsec = (long)(random_next(&random) % 3000000)}, NULL);
        pid_t pid = fork();
        if (pid == 0) {
            alarm(30);
            struct addrinfo *list = NULL;
            double start = seconds_now();
            int answer = rb_getaddrinfo_happy("localhost", "80", &stream, &list, 1000);
            bool limit = answer == EAI_SYSTEM && errno == ETIMEDOUT;
            if (answer != 0 && !limit)
                complain(report, "in the child: answer %d, errno %d", answer, errno);
            if (seconds_now() - start > 10)
                complain(report, "in the child: the limit of 1 s took %.1f s", seconds_now() - start);
            _exit(limit);
        }
        int status = 0;
        waitpid(pid, &status, 0);
        if (!WIFEXITED(status))
            complain(report, "a child was killed by signal %d", WTERMSIG(status));
        struck += WIFEXITED(status) && WEXITSTATUS(status) != 0;
        progress("forks inside libc: %d of %d", i + 1, forks);
    }
    over = true;
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    printf("fork inside libc: %d of %d children found libc locked, and said so in time\n", struck, forks);
    if (struck > forks / 20 + 1)
        complain(report, "%d of %d children found libc locked", struck, forks);
}

/* fork takes no longer with stuck lookups than without, whatever number of them. */
static void fork_beside_stuck_lookups(struct report *report, void *unused)
{
    (void)unused;
    enum { STUCK = 50 };
    happy_lookup *lookups[STUCK];
    for (int i = 0; i < STUCK; i++) {
        happy_lookup_new(stuck_name(), "80", &stream, -1, &lookups[i]);
        happy_lookup_start(lookups[i]);
    }
    double end = seconds_now() + 30;
    while (lookups_running() < STUCK && seconds_now() < end)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    if (lookups_running() != STUCK)
        complain(report, "%d lookups are running", lookups_running());
    double start = seconds_now();
    pid_t pid = fork();
    if (pid == 0) {
        alarm(30);
        resolve_and_connect(report);
        _exit(0);
    }
    double took = seconds_now() - start;
    int status = 0;
    waitpid(pid, &status, 0);
    if (status != 0)
        complain(report, "the child ended with status %#x", status);
    /* It would wait for ever if it waited for them; a busy machine may stand still. */
    if (took > 5)
        complain(report, "fork took %.1f ms", took * 1e3);
    lookups_release();
    for (int i = 0; i < STUCK; i++) {
        struct addrinfo *list = NULL;
        happy_lookup_wait(lookups[i]);
        int answer = happy_lookup_take_result(lookups[i], &list);
        if (answer != 0)
            complain(report, "a lookup of the parent's answers %d", answer);
        else
            freeaddrinfo(list);
        happy_lookup_unref(lookups[i]);
    }
}

/* ---- What parent and child share ------------------------------------------------------------------------------------- */

struct doors {
    happy_connect *connect;
    happy_multi *multi;
    int connect_fd, multi_fd, done;
};

static void count_done(happy_multi *multi, uint64_t id, const happy_result *result, void *userdata)
{
    (void)multi, (void)id;
    struct doors *doors = userdata;
    doors->done += result->status == HAPPY_OK ? 1 : 100;
    if (result->fd != -1)
        close(result->fd);
}

static bool readable(int fd, int milliseconds)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    return poll(&wait, 1, milliseconds) == 1;
}

/* The child has copies of the epoll sets and the wake-up descriptors, and what they refer to is the parent's: the child's cancel,
 * interrupt, wake-up, free and exit must not be seen in the parent, and must not end its watch. */
static void child_touches_nothing(struct report *report, void *argument)
{
    bool sockets_too = argument != NULL;
    struct doors doors = {0};
    char port[8];
    snprintf(port, sizeof port, "%s", world.live);
    /* A server whose queue is full, until it accepts. */
    int listener = -1, fillers[2];
    if (sockets_too) {
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t length = sizeof address;
        listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (bind(listener, (void *)&address, length) == -1 || listen(listener, 0) == -1 ||
            getsockname(listener, (void *)&address, &length) == -1)
            complain(report, "the test has no listener: %s", strerror(errno));
        snprintf(port, sizeof port, "%d", ntohs(address.sin_port));
        for (int i = 0; i < 2; i++) {
            fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
            connect(fillers[i], (void *)&address, length);
        }
    }
    const char *host = sockets_too ? "127.0.0.1" : stuck_name();
    if (happy_multi_new(&doors.multi) != HAPPY_OK || happy_connect_new(host, port, NULL, &doors.connect, NULL) != HAPPY_OK ||
        happy_multi_add(doors.multi, host, port, NULL, count_done, NULL, NULL, &doors) != HAPPY_OK)
        complain(report, "the connects cannot be made");
    doors.connect_fd = happy_connect_get_fd(doors.connect);
    doors.multi_fd = happy_multi_get_fd(doors.multi);
    for (int i = 0; i < 3; i++) {
        happy_connect_dispatch(doors.connect);
        happy_multi_dispatch(doors.multi, NULL);
    }
    for (int i = 0; i < 3; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            alarm(30);
            happy_connect_cancel(doors.connect);
            happy_connect_interrupt(doors.connect);
            if (happy_multi_wakeup(doors.multi) != HAPPY_EFORKED)
                complain(report, "in the child: the parent's handle can be woken");
            happy_connect_free(doors.connect);
            happy_multi_free(doors.multi);
            if (doors.done != 0)
                complain(report, "in the child: a done callback of the parent's was called");
            if (i == 0)
                exit(0);
            resolve_and_connect(report);
            _exit(0);
        }
        int status = 0;
        waitpid(pid, &status, 0);
        if (status != 0)
            complain(report, "the child ended with status %#x", status);
    }
    /* The Connection Attempt Delay's timer may be due: that is one turn, after which it is quiet. */
    happy_connect_dispatch(doors.connect);
    happy_multi_dispatch(doors.multi, NULL);
    if (readable(doors.connect_fd, 0) || readable(doors.multi_fd, 0))
        complain(report, "a descriptor of the parent's is readable after the child");
    if (doors.done != 0)
        complain(report, "a connect of the parent's has ended");
    if (sockets_too) {
        for (int clients = 0; clients < 2; clients++)
            if (accept(listener, NULL, NULL) == -1 && clients == 0)
                complain(report, "the test's queue was not full");
    } else {
        lookups_release();
    }
    /* SYNs are sent again after 1, 3 and 7 s. */
    double end = seconds_now() + 20;
    int left = 1, status = HAPPY_EAGAIN;
    while ((left > 0 || status == HAPPY_EAGAIN) && seconds_now() < end) {
        struct pollfd both[] = {{.fd = doors.connect_fd, .events = POLLIN}, {.fd = doors.multi_fd, .events = POLLIN}};
        /* Only what a descriptor says is looked at. */
        if (status != HAPPY_EAGAIN)
            both[0].fd = -1;
        poll(both, 2, 1000);
        if (both[0].revents != 0)
            status = happy_connect_dispatch(doors.connect);
        if (both[1].revents != 0)
            happy_multi_dispatch(doors.multi, &left);
        if (sockets_too)
            while (accept(listener, NULL, NULL) != -1)
                ;
    }
    happy_result result = HAPPY_RESULT_INIT;
    int fd = happy_connect_take_result(doors.connect, &result);
    if (fd == -1 || doors.done != 1)
        complain(report, "the parent's connects: status %d, and done %d", result.status, doors.done);
    happy_connect_free(doors.connect);
    happy_multi_free(doors.multi);
}

/* ---- Exit ----------------------------------------------------------------------------------------------------------- */

static void leave_things_stuck(struct report *report)
{
    for (int i = 0; i < 20; i++) {
        happy_lookup *lookup = NULL;
        happy_lookup_new(stuck_name(), "80", &stream, -1, &lookup);
        happy_connect *connect = NULL;
        pthread_t thread;
        if (happy_lookup_start(lookup) != HAPPY_OK || happy_connect_new(stuck_name(), world.live, NULL, &connect, NULL) != HAPPY_OK ||
            pthread_create(&thread, NULL, happy_connect_wait_callback, connect) != 0)
            complain(report, "nothing can be left stuck");
    }
    happy_multi *multi = NULL;
    happy_multi_new(&multi);
    happy_multi_add(multi, stuck_name(), world.live, NULL, count_done, NULL, NULL, &(struct doors){0});
    happy_multi_dispatch(multi, NULL);
    double end = seconds_now() + 30;
    while (lookups_running() < 41 && seconds_now() < end)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    if (lookups_running() != 41)
        complain(report, "%d lookups are stuck, not 41", lookups_running());
    report->value = seconds_now();
}

static void exit_stuck(struct report *report, void *how)
{
    leave_things_stuck(report);
    if (how != NULL)
        exit(0);
    _exit(0);
}

static void judge_exit(const char *name, void *how)
{
    struct report report;
    in_child(&report, 60, exit_stuck, how);
    double took = seconds_now() - report.value;
    if (took > 5)
        complain(&report, "%s took %.2f s", name, took);
    printf("%s with 41 stuck lookups: %.1f ms\n", name, took * 1e3);
    judge(&report, "%s with stuck lookups", name);
}

int main(int count, char **arguments)
{
    forks = 1000;
    for (int i = 1; i < count; i++) {
        if (strcmp(arguments[i], "--short") == 0) {
            forks = 100;
        } else if (strcmp(arguments[i], "--seed") == 0 && i + 1 < count) {
            seed = strtoull(arguments[++i], NULL, 10);
        } else {
            fprintf(stderr, "usage: %s [--short] [--seed N]\n", arguments[0]);
            return 2;
        }
    }
    world_begin(&world);
    scenarios_begin(&world);
    struct report report;
    in_child(&report, 300, fork_at_random_moments, NULL);
    judge(&report, "fork at random moments (seed %llu)", (unsigned long long)seed);
    if (world.own_client)
        return summary("fork beside lookups without threads");
    in_child(&report, 300, fork_inside_libc, NULL);
    judge(&report, "fork inside libc");
    in_child(&report, 60, fork_beside_stuck_lookups, NULL);
    judge(&report, "fork beside stuck lookups");
    in_child(&report, 60, child_touches_nothing, NULL);
    judge(&report, "a child touches nothing of the parent's lookups");
    in_child(&report, 60, child_touches_nothing, &world);
    judge(&report, "a child touches nothing of the parent's sockets");
    judge_exit("_exit", NULL);
    judge_exit("exit", &world);
    return summary("fork and exit");
}
