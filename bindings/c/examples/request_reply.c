/* One producer asks, a consumer answers. */
#include "example.h"

static int32_t answer(const fr_delivery_t *request, void *producer) {
    const fr_message_ext_t *message = fr_messages_at(fr_delivery_messages(request), 0);
    fr_message_t *reply;
    fr_send_result_t *sent = NULL;
    fr_status_t status = fr_message_ext_reply(message, "42", 2, &reply, NULL);
    if (status == FR_OK) {
        status = fr_producer_send(producer, reply, &sent, NULL);
    }
    fr_send_result_free(sent);
    fr_message_free(reply);
    return status == FR_OK ? FR_SUCCESS : FR_LATER;
}

int main(void) {
    fr_client_t *client;
    fr_producer_t *producer;
    fr_push_consumer_t *consumer;
    fr_config_t *config = fr_config_new();
    fr_message_t *question;
    fr_message_ext_t *reply;
    const char *body;
    size_t len;

    TRY(fr_client_new(NULL, &client, &error));
    TRY(fr_producer_start(client, "asking", NULL, &producer, &error));
    TRY(fr_config_set(config, "consumeFromWhere", "CONSUME_FROM_FIRST_OFFSET", &error));
    TRY(fr_config_subscribe(config, "Questions", "*", FR_TAG, &error));
    TRY(fr_push_consumer_start(client, "answering", config, FR_CONCURRENTLY, &consumer, &error));
    TRY(fr_push_consumer_handle(consumer, 1, answer, producer, &error));

    TRY(fr_message_new("Questions", "6 x 7?", 6, &question, &error));
    TRY(fr_producer_request(producer, question, 60000, &reply, &error));
    body = fr_message_ext_body(reply, &len);
    printf("%.*s\n", (int)len, body);

    fr_message_ext_free(reply);
    fr_message_free(question);
    /* Before the producer, which its handler uses. */
    fr_push_consumer_free(consumer);
    fr_producer_free(producer);
    fr_client_free(client);
    fr_config_free(config);
    return 0;
}
