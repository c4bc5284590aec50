/* Messages in line for the queue of their key, each send with a time of its own. */
#include "example.h"

int main(void) {
    static const char *const steps[] = {"created", "paid", "sent"};
    fr_client_t *client;
    fr_producer_t *producer;
    fr_send_terms_t *terms = fr_send_terms_new();
    fr_completion_t *done[3];
    size_t step, count, ended = 0;

    TRY(fr_client_new(NULL, &client, &error));
    TRY(fr_producer_start(client, "order-service", NULL, &producer, &error));
    TRY(fr_send_terms_set_ordered_by(terms, "order-7", &error));
    TRY(fr_send_terms_set_timeout(terms, 10000, &error));
    for (step = 0; step < 3; step++) {
        fr_message_t *message;
        TRY(fr_message_new("StepsInLine", steps[step], strlen(steps[step]), &message, &error));
        /* Nothing is waited for: the three leave in this order. */
        TRY(fr_producer_send_async_with(producer, message, terms, NULL, (void *)steps[step], &error));
        fr_message_free(message);
    }
    while (ended < 3) {
        TRY(fr_producer_poll(producer, done, 3, 1000, &count, &error));
        for (step = 0; step < count; step++) {
            const fr_send_result_t *sent = fr_completion_result(done[step]);
            if (sent == NULL) {
                fprintf(stderr, "%s\n", fr_error_message(fr_completion_error(done[step])));
                return 1;
            }
            printf("%s: number %lld of queue %d\n", (const char *)fr_completion_user(done[step]),
                   (long long)fr_send_result_queue_offset(sent), (int)fr_queue_id(fr_send_result_queue(sent)));
            fr_completion_free(done[step]);
        }
        ended += count;
    }

    fr_send_terms_free(terms);
    fr_producer_free(producer);
    fr_client_free(client);
    return 0;
}
