/* What the examples of event loops share: they differ only in how they wait.
 *
 * Each connects to every host of its command line at once, and when half of them have ended it cancels the last one.
 *
 *     PROGRAM SERVICE HOST...
 */
#ifndef LOOP_H
#define LOOP_H

#include <happysock.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* One connect of the program. */
struct entry {
    const char *host;
    uint64_t id;
    int ended;
    int status;
    char message[160];
};

static struct {
    struct entry *entries;
    int count, ended, cancel_status;
    void (*all_ended)(void);
} loop;

/* A connect has ended: here a program would begin to talk over result->fd. */
static void connected(happy_multi *multi, uint64_t id, const happy_result *result, void *userdata)
{
    struct entry *entry = userdata;
    if (id != entry->id)
        abort();
    entry->ended++;
    entry->status = result->status;
    happy_result_message(result, entry->message, sizeof entry->message);
    if (result->status == HAPPY_OK)
        close(result->fd);
    if (++loop.ended == loop.count / 2)
        loop.cancel_status = happy_multi_cancel(multi, loop.entries[loop.count - 1].id);
    if (loop.ended == loop.count && loop.all_ended != NULL)
        loop.all_ended();
}

/* Adds a connect for each host of the command line; all_ended is called when the last one has ended. */
static void add_connects(happy_multi *multi, int argc, char **argv, void (*all_ended)(void))
{
    happy_options options = HAPPY_OPTIONS_INIT;
    options.open_timeout_ms = 15000;
    options.flags = HAPPY_FLAG_NONBLOCKING;
    if (argc < 4) {
        fprintf(stderr, "usage: %s SERVICE HOST HOST...\n", argv[0]);
        exit(2);
    }
    loop.count = argc - 2;
    loop.entries = calloc((size_t)loop.count, sizeof *loop.entries);
    loop.all_ended = all_ended;
    for (int i = 0; i < loop.count && loop.entries != NULL; i++) {
        struct entry *entry = &loop.entries[i];
        entry->host = argv[i + 2];
        happy_result refusal = HAPPY_RESULT_INIT;
        if (happy_multi_add(multi, entry->host, argv[1], &options, connected, &entry->id, &refusal, entry) != HAPPY_OK) {
            happy_result_message(&refusal, entry->message, sizeof entry->message);
            fprintf(stderr, "%s: %s\n", entry->host, entry->message);
            exit(1);
        }
    }
}

/* How it went, and the exit status: every connect has ended once. */
static int summary(void)
{
    int connected_count = 0, cancelled = 0, once = 0;
    for (int i = 0; i < loop.count; i++) {
        struct entry *entry = &loop.entries[i];
        connected_count += entry->status == HAPPY_OK;
        cancelled += entry->status == HAPPY_ECANCELLED;
        once += entry->ended == 1;
        if (entry->ended != 1 || (entry->status != HAPPY_OK && entry->status != HAPPY_ECANCELLED))
            printf("%s: ended %d times, %s\n", entry->host, entry->ended, entry->message);
    }
    printf("%d connects ended once: %d connected, %d cancelled\n", once, connected_count, cancelled);
    free(loop.entries);
    return once == loop.count && loop.cancel_status == HAPPY_OK ? 0 : 1;
}

#endif
