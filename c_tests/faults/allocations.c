/* Allocation of what C hands in: strings and handles answer HAPPY_ENOMEM and change nothing. The library's other allocations
 * are the Rust standard library's, which ends the process when there is no memory (std::alloc::handle_alloc_error): such an end
 * is counted and said, any other is a failure. */
#define _GNU_SOURCE
#include "shim.h"
#include "world.h"

#include <happysock.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define HOST_LENGTH 777
#define SERVICE "12345"
static char host[HOST_LENGTH + 1];
static int userdata_frees;

static void count_free(void *userdata)
{
    (void)userdata;
    userdata_frees++;
}

enum maker { LOOKUP_NEW, CONNECT_NEW, INIT_INETSOCK, MULTI_ADD, MAKERS };
static const char *const maker_names[] = {"happy_lookup_new", "happy_connect_new", "init_inetsock_happy", "happy_multi_add"};

struct test_case {
    enum maker maker;
    unsigned nth;
    size_t size;
};

static void never_done(happy_multi *multi, uint64_t id, const happy_result *result, void *userdata)
{
    (void)multi, (void)id, (void)result;
    *(bool *)userdata = true;
}

/* Makes the object; true if it was made, and then it is freed. */
static bool make(enum maker maker, struct report *report)
{
    happy_options options = HAPPY_OPTIONS_INIT;
    options.userdata_free = count_free;
    options.open_timeout_ms = 0;
    happy_connect *connect = NULL;
    happy_result result = HAPPY_RESULT_INIT;
    bool done = false;
    int status = HAPPY_OK;
    errno = 0;
    if (maker == LOOKUP_NEW) {
        happy_lookup *lookup = NULL;
        status = happy_lookup_new(host, SERVICE, NULL, -1, &lookup);
        if ((status == HAPPY_OK) != (lookup != NULL))
            complain(report, "status %d with lookup %p", status, (void *)lookup);
        happy_lookup_unref(lookup);
    } else if (maker == CONNECT_NEW) {
        status = happy_connect_new(host, SERVICE, &options, &connect, NULL);
        if ((status == HAPPY_OK) != (connect != NULL))
            complain(report, "status %d with handle %p", status, (void *)connect);
        happy_connect_free(connect);
    } else if (maker == INIT_INETSOCK) {
        int fd = init_inetsock_happy(host, SERVICE, &options, &result);
        if (fd != -1 || (result.status == HAPPY_ENOMEM && errno != ENOMEM))
            complain(report, "descriptor %d, errno %d", fd, errno);
        /* The limit is over at once. */
        status = result.status == HAPPY_ETIMEOUT ? HAPPY_OK : result.status;
    } else {
        happy_multi *multi = NULL;
        status = happy_multi_new(&multi);
        if (status == HAPPY_OK) {
            status = happy_multi_add(multi, host, SERVICE, &options, never_done, NULL, NULL, &done);
            happy_multi_free(multi);
            if (done != (status == HAPPY_OK))
                complain(report, "status %d, and done was %s", status, done ? "called" : "not called");
        }
    }
    if (status != HAPPY_OK && status != HAPPY_ENOMEM)
        complain(report, "status %d: %s", status, happy_error_message());
    if (maker != LOOKUP_NEW && userdata_frees != (status == HAPPY_OK))
        complain(report, "status %d, and userdata_free was called %d times", status, userdata_frees);
    userdata_frees = 0;
    return status == HAPPY_OK;
}

static void allocate(struct report *report, void *argument)
{
    const struct test_case *test = argument;
    /* What is made once in a process is made here, and the message of the latest error. */
    make(test->maker, report);
    happy_lookup *refused = NULL;
    happy_lookup_new(NULL, NULL, NULL, -2, &refused);
    struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    /* The standard library says where it ends the process; that is expected here. */
    close(2);
    long before = library_blocks();
    fault_arm(FN_ALLOCATE, test->nth, ENOMEM, test->size);
    bool made = make(test->maker, report);
    report->fired = fault_disarm();
    report->value = made;
    if (library_blocks() != before)
        complain(report, "%ld blocks are left", library_blocks() - before);
    if (!report->fired && !made)
        complain(report, "out of memory, but there was memory");
    if (!make(test->maker, report))
        complain(report, "out of memory still");
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    memset(host, 'h', HOST_LENGTH);
    if (!shim_sees_library()) {
        fprintf(stderr, "libhappysock.so is not loaded\n");
        return 2;
    }
    for (enum maker maker = 0; maker < MAKERS; maker++) {
        struct report report;
        /* The strings, in one piece: known by its size, with two bytes before them and their terminating zeros. */
        const size_t size = 2 + HOST_LENGTH + 1 + sizeof SERVICE;
        struct test_case strings = {maker, 1, size};
        in_child(&report, 20, allocate, &strings);
        if (!report.fired || report.value != 0)
            complain(&report, "no copy of %zu bytes, or no HAPPY_ENOMEM without it", size);
        judge(&report, "%s: copy of the strings", maker_names[maker]);
        unsigned answered = 0, ended = 0;
        for (unsigned nth = 1; nth < 200; nth++) {
            struct test_case test = {maker, nth, 0};
            in_child(&report, 20, allocate, &test);
            if (report.killed_by == SIGABRT) {
                report.message[0] = '\0';
                ended++;
            } else if (report.fired && report.value == 0) {
                answered++;
            }
            judge(&report, "%s: allocation %u", maker_names[maker], nth);
            if (!report.fired && report.killed_by == 0)
                break;
        }
        printf("%s: %u allocations answer HAPPY_ENOMEM, %u end the process as Rust does\n", maker_names[maker], answered, ended);
        struct report enough = {0};
        /* The strings, and for a handle of C's the handle. */
        unsigned least = maker == LOOKUP_NEW || maker == CONNECT_NEW ? 2 : 1;
        if (answered < least)
            complain(&enough, "%u allocations answer HAPPY_ENOMEM, not %u", answered, least);
        judge(&enough, "%s", maker_names[maker]);
    }
    return summary("allocations for C");
}
