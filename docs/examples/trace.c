/* The steps of a race, as they happen.
 *
 * shows: happy_trace_fn happy_trace_event
 * run: 127.0.0.1 PORT
 * prints: candidate added
 * prints: attempt started
 * prints: attempt ended: connected
 * prints: finished
 */
#include <happysock.h>
#include <stdio.h>
#include <unistd.h>

static void see(const happy_trace_event *event, void *userdata)
{
    FILE *log = userdata;
    fprintf(log, "%s", happy_trace_kind_str(event->kind));
    if (event->outcome >= 0)
        fprintf(log, ": %s", happy_outcome_str(event->outcome));
    fprintf(log, "\n");
}

int main(int argc, char **argv)
{
    happy_options options = HAPPY_OPTIONS_INIT;
    if (argc != 3)
        return 2;
    options.trace = see;
    options.userdata = stdout;
    int fd = init_inetsock_happy(argv[1], argv[2], &options, NULL);
    if (fd < 0)
        return 1;
    close(fd);
    return 0;
}
