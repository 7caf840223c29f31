/* Many connects in the loop of libevent, by one descriptor.
 *
 * run: PORT dual.test four.test half.test
 * prints: 3 of 3 connected
 */
#include <event2/event.h>
#include <happysock.h>
#include <stdio.h>
#include <unistd.h>

static struct event_base *base;
static int connected;

/* libevent says that there is something to do. */
static void ready(evutil_socket_t fd, short events, void *multi)
{
    int running = 0;
    (void)fd, (void)events;
    if (happy_multi_dispatch(multi, &running) != HAPPY_OK || running == 0)
        event_base_loopbreak(base);
}

static void done(happy_multi *multi, uint64_t id, const happy_result *result,
                 void *userdata)
{
    (void)multi, (void)id, (void)userdata;
    if (result->status == HAPPY_OK) {
        connected++;
        /* Here a bufferevent would take the socket over. */
        close(result->fd);
    }
}

int main(int argc, char **argv)
{
    happy_multi *multi = NULL;
    base = event_base_new();
    if (argc < 3 || base == NULL || happy_multi_new(&multi) != HAPPY_OK)
        return 2;
    struct event *event = event_new(base, happy_multi_get_fd(multi),
                                    EV_READ | EV_PERSIST, ready, multi);
    event_add(event, NULL);
    for (int i = 2; i < argc; i++)
        happy_multi_add(multi, argv[i], argv[1], NULL, done, NULL, NULL,
                        NULL);
    event_base_dispatch(base);
    event_free(event);
    event_base_free(base);
    happy_multi_free(multi);
    printf("%d of %d connected\n", connected, argc - 2);
    return 0;
}
