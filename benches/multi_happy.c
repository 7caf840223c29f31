/* happy_multi. */
#include "multi_common.h"
#include <happysock.h>

static int most_threads_seen(int before)
{
    int now = threads_now();
    return now > before ? now : before;
}

static void done(happy_multi *multi, uint64_t id, const happy_result *result, void *userdata)
{
    (void)multi, (void)id, (void)userdata;
    if (result->status == HAPPY_OK) {
        bench.ok++;
        close_with_reset(result->fd);
    } else if (result->status != HAPPY_ECANCELLED) {
        bench.failed++;
        if (bench.failed <= 3)
            fprintf(stderr, "multi_happy: %s\n", happy_error_message());
    }
}

static void add_all(happy_multi *multi, uint64_t *ids)
{
    happy_options options = HAPPY_OPTIONS_INIT;
    char name[256];
    options.flags = HAPPY_FLAG_NONBLOCKING;
    for (int i = 0; i < bench.count; i++)
        if (happy_multi_add(multi, bench_host(i, name), bench.service, &options, done, &ids[i], NULL, NULL) != HAPPY_OK)
            fail(happy_error_message());
}

/* One name that is answered at once. */
static void connect_once(happy_multi *multi)
{
    char name[256];
    uint64_t id;
    int running = 1;
    double began = now_us();
    snprintf(name, sizeof name, "%d-now.test", (int)getpid());
    if (happy_multi_add(multi, name, bench.service, NULL, done, &id, NULL, NULL) != HAPPY_OK)
        fail(happy_error_message());
    while (running > 0)
        if (happy_multi_wait(multi, -1, &running) != HAPPY_OK)
            fail(happy_error_message());
    bench.next_us = now_us() - began;
}

int main(int argc, char **argv)
{
    bench_arguments(argc, argv);
    happy_lookup_set_thread_limit((uint32_t)bench.threads);
    uint64_t *ids = calloc((size_t)bench.count, sizeof *ids);
    happy_multi *multi = NULL;
    if (happy_multi_new(&multi) != HAPPY_OK || ids == NULL)
        fail("happy_multi_new");
    int running = 1, rounds = 0;
    int descriptors = descriptors_now();
    bench_begin();
    add_all(multi, ids);
    if (bench_is_unanswered()) {
        while (happy_multi_get_timeout_ms(multi) == 0)
            happy_multi_dispatch(multi, &running);
        bench_all_begun();
        for (int i = 0; i < bench.count; i++)
            happy_multi_cancel(multi, ids[i]);
        bench.cancelled = now_us();
        bench.threads_left = threads_now();
        bench.descriptors_left = descriptors_now() - descriptors;
        connect_once(multi);
        happy_multi_free(multi);
    } else if (mode_is("hole")) {
        while (happy_multi_get_timeout_ms(multi) == 0)
            happy_multi_dispatch(multi, &running);
        bench_all_begun();
        for (int i = 0; i < bench.count; i++)
            happy_multi_cancel(multi, ids[i]);
        bench.cancelled = now_us();
        /* Once more, to be freed with all of them in flight. */
        add_all(multi, ids);
        while (happy_multi_get_timeout_ms(multi) == 0)
            happy_multi_dispatch(multi, &running);
        double began = now_us();
        happy_multi_free(multi);
        bench.freed = now_us() - began;
    } else {
        while (running > 0) {
            if (happy_multi_wait(multi, -1, &running) != HAPPY_OK)
                fail(happy_error_message());
            if (rounds++ % 64 == 0)
                bench.most_threads = most_threads_seen(bench.most_threads);
        }
        bench_all_ended();
        happy_multi_free(multi);
    }
    bench.most_threads = most_threads_seen(bench.most_threads);
    bench_print("happysock");
    free(ids);
    return bench.failed == 0 ? 0 : 1;
}
