/* A message that consumers get only if the local transaction was committed. */
#include "example.h"

/* Asked by the broker about transactions whose end it did not hear of, also those of a program that is gone. */
static int32_t check(const fr_delivery_t *asked, void *user) {
    const fr_message_ext_t *message = fr_messages_at(fr_delivery_messages(asked), 0);
    (void)user;
    printf("what became of %s?\n", fr_message_ext_transaction_id(message));
    return FR_LATER;
}

int main(void) {
    fr_client_t *client;
    fr_transaction_producer_t *producer;
    fr_transaction_t *transaction;
    fr_message_t *message;

    TRY(fr_client_new(NULL, &client, &error));
    TRY(fr_transaction_producer_start(client, "payments", NULL, &producer, &error));
    TRY(fr_transaction_producer_handle(producer, 1, check, NULL, &error));

    TRY(fr_message_new("Payments", "42 EUR", 6, &message, &error));
    TRY(fr_transaction_begin(producer, message, &transaction, &error));
    printf("the payment is booked as %s\n", fr_transaction_id(transaction));
    TRY(fr_transaction_end(transaction, FR_COMMIT, &error));

    fr_transaction_free(transaction);
    fr_message_free(message);
    fr_transaction_producer_free(producer);
    fr_client_free(client);
    return 0;
}
