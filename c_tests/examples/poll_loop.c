/* happy_multi in a loop of poll(2): one descriptor, timers included. */
#include "loop.h"
#include <poll.h>

int main(int argc, char **argv)
{
    happy_multi *multi = NULL;
    if (happy_multi_new(&multi) != HAPPY_OK) {
        fprintf(stderr, "happy_multi_new: %s\n", happy_error_message());
        return 1;
    }
    add_connects(multi, argc, argv, NULL);
    struct pollfd watched = {happy_multi_get_fd(multi), POLLIN, 0};
    int running = 1;
    while (running > 0) {
        /* A program's own descriptors would stand in the same array. */
        if (poll(&watched, 1, -1) > 0 && happy_multi_dispatch(multi, &running) != HAPPY_OK) {
            fprintf(stderr, "happy_multi_dispatch: %s\n", happy_error_message());
            return 1;
        }
    }
    happy_multi_free(multi);
    return summary();
}
