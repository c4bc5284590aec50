//! fastjson.
