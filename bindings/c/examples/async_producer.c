/* Sends many messages without waiting for each: one half is told to a callback, the other to an event loop. */
#include <poll.h>

#include "example.h"

/* Called on a thread of the producer's own, one call at a time. */
static void told(const fr_send_result_t *result, const fr_error_t *failure, void *user) {
    if (failure != NULL) {
        fprintf(stderr, "%s\n", fr_error_message(failure));
    } else if (result != NULL) {
        ++*(int *)user;
    }
}

int main(void) {
    fr_client_t *client;
    fr_producer_t *producer;
    fr_message_t *message;
    fr_completion_t *completions[32];
    struct pollfd fd;
    int number, by_callback = 0, by_loop = 0;
    size_t count, at;

    TRY(fr_client_new(NULL, &client, &error));
    TRY(fr_producer_start(client, "order-service", NULL, &producer, &error));
    TRY(fr_message_new("Orders", "paid", 4, &message, &error));
    for (number = 0; number < 1000; number++) {
        TRY(fr_producer_send_async(producer, message, told, &by_callback, &error));
        TRY(fr_producer_send_async(producer, message, NULL, NULL, &error));
    }

    fd.fd = fr_producer_fd(producer);
    fd.events = POLLIN;
    while (by_loop < 1000) {
        poll(&fd, 1, -1);
        TRY(fr_producer_poll(producer, completions, 32, 0, &count, &error));
        for (at = 0; at < count; at++) {
            if (fr_completion_error(completions[at]) != NULL) {
                fprintf(stderr, "%s\n", fr_error_message(fr_completion_error(completions[at])));
            }
            fr_completion_free(completions[at]);
        }
        by_loop += (int)count;
    }

    /* After this no callback comes any more. */
    TRY(fr_producer_close(producer, &error));
    printf("%d sends were told to the callback, %d to the loop\n", by_callback, by_loop);
    fr_message_free(message);
    fr_producer_free(producer);
    fr_client_free(client);
    return 0;
}
