/* Sends a message and prints where it is. Without `namesrvAddr` the client reads the environment's NAMESRV_ADDR. */
#include "example.h"

int main(void) {
    fr_client_t *client;
    fr_producer_t *producer;
    fr_message_t *message;
    fr_send_result_t *sent;

    TRY(fr_client_new(NULL, &client, &error));
    TRY(fr_producer_start(client, "order-service", NULL, &producer, &error));

    TRY(fr_message_new("Orders", "paid", 4, &message, &error));
    TRY(fr_message_set_tags(message, "vip", &error));
    TRY(fr_message_add_key(message, "o-42", &error));
    TRY(fr_producer_send(producer, message, &sent, &error));
    printf("%s is number %lld of queue %d\n", fr_send_result_msg_id(sent),
           (long long)fr_send_result_queue_offset(sent), (int)fr_queue_id(fr_send_result_queue(sent)));

    fr_send_result_free(sent);
    fr_message_free(message);
    fr_producer_free(producer);
    fr_client_free(client);
    return 0;
}
