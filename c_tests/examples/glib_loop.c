/* happy_multi in GLib's main loop: one descriptor, timers included. */
#include "loop.h"
#include <glib-unix.h>

static GMainLoop *main_loop;

static gboolean ready(gint fd, GIOCondition condition, gpointer multi)
{
    (void)fd, (void)condition;
    happy_multi_dispatch(multi, NULL);
    return G_SOURCE_CONTINUE;
}

static void quit(void)
{
    g_main_loop_quit(main_loop);
}

int main(int argc, char **argv)
{
    happy_multi *multi = NULL;
    if (happy_multi_new(&multi) != HAPPY_OK) {
        fprintf(stderr, "happy_multi_new: %s\n", happy_error_message());
        return 1;
    }
    main_loop = g_main_loop_new(NULL, FALSE);
    guint source = g_unix_fd_add(happy_multi_get_fd(multi), G_IO_IN, ready, multi);
    add_connects(multi, argc, argv, quit);
    g_main_loop_run(main_loop);
    g_source_remove(source);
    g_main_loop_unref(main_loop);
    happy_multi_free(multi);
    return summary();
}
