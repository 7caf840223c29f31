/* dlclose with stuck lookups: the workers come back from libc into code that is still there, and leave. */
#define _GNU_SOURCE
#include "shim.h"
#include "world.h"

#include <happysock.h>

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STUCK 8

static void unload(struct report *report, void *path)
{
    struct census before = census();
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL || !shim_sees_library()) {
        complain(report, "%s", library == NULL ? dlerror() : "the shim does not see the library");
        return;
    }
    __typeof__(&happy_lookup_new) lookup_new = (__typeof__(lookup_new))dlsym(library, "happy_lookup_new");
    __typeof__(&happy_lookup_start) start = (__typeof__(start))dlsym(library, "happy_lookup_start");
    __typeof__(&happy_lookup_unref) unref = (__typeof__(unref))dlsym(library, "happy_lookup_unref");
    __typeof__(&happy_lookup_get_fd) get_fd = (__typeof__(get_fd))dlsym(library, "happy_lookup_get_fd");
    if (lookup_new == NULL || start == NULL || unref == NULL || get_fd == NULL) {
        complain(report, "a function is missing");
        return;
    }
    for (int i = 0; i < STUCK; i++) {
        happy_lookup *lookup = NULL;
        char name[32];
        snprintf(name, sizeof name, "%d.stuck.test", i);
        lookup_new(name, "80", NULL, -1, &lookup);
        get_fd(lookup);
        if (start(lookup) != HAPPY_OK)
            complain(report, "a lookup does not start");
        double end = seconds_now() + 20;
        while (lookups_running() <= i && seconds_now() < end)
            nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
        unref(lookup);
    }
    if (lookups_running() != STUCK)
        complain(report, "%d lookups are stuck", lookups_running());
    dlclose(library);
    /* Now the lookups end, and the workers go on in the library. */
    lookups_release();
    double end = seconds_now() + 30;
    while (lookups_running() > 0 && seconds_now() < end)
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    if (lookups_running() > 0)
        complain(report, "%d lookups are still running", lookups_running());
    /* Idle for a while, the last of them leaves, through the library too. */
    if (!settles(before.descriptors, before.threads) && !settles(before.descriptors, before.threads))
        complain(report, "%d threads and %d descriptors stay", census().threads - before.threads,
                 census().descriptors - before.descriptors);
    /* Opened again it works. */
    library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    __typeof__(&rb_getaddrinfo_happy) look_up = (__typeof__(look_up))dlsym(library, "rb_getaddrinfo_happy");
    struct addrinfo *list = NULL;
    int answer = look_up("dual.test", "80", NULL, &list, 5000);
    if (answer != 0)
        complain(report, "after dlopen: answer %d", answer);
    else
        freeaddrinfo(list);
    dlclose(library);
}

int main(int count, char **arguments)
{
    if (count != 2) {
        fprintf(stderr, "usage: %s LIBRARY\n", arguments[0]);
        return 2;
    }
    struct report report;
    in_child(&report, 60, unload, arguments[1]);
    judge(&report, "dlclose with stuck lookups");
    return summary("unload");
}
