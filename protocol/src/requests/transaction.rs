//! Ending and checking transactions.

use super::headers;
use crate::command::Text;

headers! {
    /// Header of `END_TRANSACTION`. Java: `EndTransactionRequestHeader`.
    EndTransactionHeader {
        topic: Text = "topic" optional,
        producer_group: Text = "producerGroup" required,
        tran_state_table_offset: i64 = "tranStateTableOffset" required,
        commit_log_offset: i64 = "commitLogOffset" required,
        commit_or_rollback: i32 = "commitOrRollback" required,
        from_transaction_check: bool = "fromTransactionCheck" optional,
        msg_id: Text = "msgId" default,
        transaction_id: Text = "transactionId" optional,
    }

    /// Header of `CHECK_TRANSACTION_STATE`. Java: `CheckTransactionStateRequestHeader`.
    CheckTransactionStateHeader {
        topic: Text = "topic" optional,
        tran_state_table_offset: i64 = "tranStateTableOffset" required,
        commit_log_offset: i64 = "commitLogOffset" required,
        msg_id: Text = "msgId" optional,
        transaction_id: Text = "transactionId" optional,
        offset_msg_id: Text = "offsetMsgId" optional,
    }

    /// Header of `RESUME_CHECK_HALF_MESSAGE`. Java: `ResumeCheckHalfMessageRequestHeader`.
    ResumeCheckHalfMessageHeader {
        topic: Text = "topic" optional,
        msg_id: Text = "msgId" optional,
    }
}
