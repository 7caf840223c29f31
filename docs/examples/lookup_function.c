/* A lookup function of the program's own, in the place of getaddrinfo(3): here it knows one name.
 *
 * shows: happy_lookup_fn happy_lookup_free_fn happy_userdata_free_fn
 * run: database PORT
 * prints: connected to 127.0.0.1:PORT
 */
#include <happysock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct table {
    char name[16], address[16];
};

/* Called on a worker of the library, for each family, maybe at the same time.
 */
static int look_up(const char *node, const char *service,
                   const struct addrinfo *hints, struct addrinfo **ret_res,
                   void *userdata)
{
    const struct table *table = userdata;
    struct addrinfo numeric = *hints;
    if (strcmp(node, table->name) != 0 ||
        (hints->ai_family != AF_INET && hints->ai_family != AF_UNSPEC))
        return EAI_NONAME;
    numeric.ai_flags |= AI_NUMERICHOST;
    return getaddrinfo(table->address, service, &numeric, ret_res);
}

static void free_list(struct addrinfo *res, void *userdata)
{
    (void)userdata;
    freeaddrinfo(res);
}

/* Called when nothing can use the table any more, which may be after the
 * connect. */
static void free_table(void *userdata)
{
    free(userdata);
}

int main(int argc, char **argv)
{
    happy_options options = HAPPY_OPTIONS_INIT;
    happy_result result = HAPPY_RESULT_INIT;
    struct table *table = calloc(1, sizeof *table);
    char message[256];
    if (argc != 3 || table == NULL)
        return 2;
    strcpy(table->name, "database");
    strcpy(table->address, "127.0.0.1");
    options.lookup = look_up;
    options.lookup_free = free_list;
    options.userdata = table;
    options.userdata_free = free_table;
    int fd = init_inetsock_happy(argv[1], argv[2], &options, &result);
    happy_result_message(&result, message, sizeof message);
    printf("%s\n", message);
    if (fd >= 0)
        close(fd);
    return fd >= 0 ? 0 : 1;
}
