/* Sends messages that are delivered later: by level with every broker, at a time with brokers from 5.0 on. */
#include <time.h>

#include "example.h"

int main(void) {
    fr_client_t *client;
    fr_producer_t *producer;
    fr_message_t *reminder, *timed;
    fr_send_result_t *sent;

    TRY(fr_client_new(NULL, &client, &error));
    TRY(fr_producer_start(client, "reminders", NULL, &producer, &error));
    TRY(fr_message_new("Reminders", "in ten seconds", 14, &reminder, &error));
    TRY(fr_message_set_delay_level(reminder, 3, &error));
    TRY(fr_producer_send(producer, reminder, &sent, &error));
    fr_send_result_free(sent);

    TRY(fr_message_new("Reminders", "in an hour", 10, &timed, &error));
    TRY(fr_message_deliver_at(timed, ((int64_t)time(NULL) + 3600) * 1000, &error));
    TRY(fr_producer_send(producer, timed, &sent, &error));
    /* Brokers from 5.3 on take it back. */
    if (fr_send_result_recall_handle(sent) != NULL) {
        TRY(fr_producer_recall(producer, "Reminders", fr_send_result_recall_handle(sent), &error));
    }

    fr_send_result_free(sent);
    fr_message_free(reminder);
    fr_message_free(timed);
    fr_producer_free(producer);
    fr_client_free(client);
    return 0;
}
