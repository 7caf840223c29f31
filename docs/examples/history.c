/* Connects that learn from each other: the second one knows that IPv6 does not answer.
 *
 * shows: happy_history happy_history_new happy_history_ref happy_history_unref happy_history_get_report
 * shows: happy_history_flush happy_history_report
 * run: half.test PORT
 * prints: connected to 203.0.113.1:PORT
 * prints: connected to 203.0.113.1:PORT
 * prints: networks in which IPv6 does not answer: 1
 * prints: and after the flush: 0
 */
#include <happysock.h>
#include <stdio.h>
#include <unistd.h>

static void connect_once(const char *host, const char *port,
                         happy_history *history)
{
    happy_options options = HAPPY_OPTIONS_INIT;
    happy_result result = HAPPY_RESULT_INIT;
    char message[256];
    options.history = history;
    int fd = init_inetsock_happy(host, port, &options, &result);
    happy_result_message(&result, message, sizeof message);
    printf("%s\n", message);
    if (fd >= 0)
        close(fd);
    /* The connect's reference, when the program hands one to each. */
    happy_history_unref(history);
}

int main(int argc, char **argv)
{
    happy_history *history = NULL;
    happy_history_report report = HAPPY_HISTORY_REPORT_INIT;
    if (argc != 3 || happy_history_new(&history) != HAPPY_OK)
        return 2;
    connect_once(argv[1], argv[2], happy_history_ref(history));
    connect_once(argv[1], argv[2], happy_history_ref(history));
    if (happy_history_get_report(history, &report) == HAPPY_OK)
        printf("networks in which IPv6 does not answer: %u\n",
               report.unanswered_v6);
    happy_history_flush(history);
    if (happy_history_get_report(history, &report) == HAPPY_OK)
        printf("and after the flush: %u\n", report.unanswered_v6);
    happy_history_unref(history);
    return 0;
}
