/* Connects that learn from each other: on a network where IPv6 does not answer
 * the first one waits for it, and the second begins with IPv4.
 *
 * shows: happy_history_new happy_history_ref happy_history_unref happy_history_flush happy_history_get_report
 * run: half.test PORT
 * prints: began with IPv6
 * prints: began with IPv4
 * prints: IPv6 does not answer here
 */
#include <happysock.h>
#include <stdio.h>
#include <unistd.h>

static int connect_once(const char *host, const char *service,
                        happy_history *history)
{
    happy_options options = HAPPY_OPTIONS_INIT;
    happy_result result = HAPPY_RESULT_INIT;
    happy_attempt first;
    options.history = history;
    result.attempts = &first;
    result.attempts_capacity = 1;
    int fd = init_inetsock_happy(host, service, &options, &result);
    if (result.attempts_count > 0)
        printf("began with %s\n", first.family == AF_INET6 ? "IPv6" : "IPv4");
    return fd;
}

int main(int argc, char **argv)
{
    happy_history_report report = HAPPY_HISTORY_REPORT_INIT;
    happy_history *history = NULL;
    if (argc != 3 || happy_history_new(&history) != HAPPY_OK)
        return 2;
    for (int round = 0; round < 2; round++) {
        /* Whoever keeps it longer than this function takes a reference. */
        happy_history *shared = happy_history_ref(history);
        int fd = connect_once(argv[1], argv[2], shared);
        if (fd >= 0)
            close(fd);
        happy_history_unref(shared);
    }
    happy_history_get_report(history, &report);
    if (report.unanswered_v6 > 0)
        printf("IPv6 does not answer here\n");
    /* The machine has moved to another network with the same addresses. */
    happy_history_flush(history);
    happy_history_unref(history);
    return 0;
}
