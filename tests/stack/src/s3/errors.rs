//! The XML of an error, made whole: a message where neither s3s nor we wrote one, and the id of the request.

/// The error with what it lacks; none if the bytes are no error of s3s.
pub(crate) fn complete(body: &[u8], request_id: &str) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?.strip_suffix("</Error>")?;
    let (before, rest) = text.split_once("</Code>")?;
    let (_, code) = before.split_once("<Code>")?;
    let rest = if rest.is_empty() { format!("<Message>{}</Message>", message(code)) } else { rest.to_owned() };
    Some(format!("{before}</Code>{rest}<RequestId>{request_id}</RequestId></Error>"))
}

/// Amazon's words for the codes that s3s gives without any.
pub(crate) fn message(code: &str) -> &'static str {
    match code {
        "AccessDenied" => "Access Denied",
        "IncompleteBody" => "You did not provide the number of bytes specified by the Content-Length HTTP header",
        "InternalError" => "We encountered an internal error. Please try again.",
        "InvalidBucketName" => "The specified bucket is not valid.",
        "InvalidURI" => "Couldn't parse the specified URI.",
        "KeyTooLongError" => "Your key is too long",
        "MalformedPOSTRequest" => "The body of your POST request is not well-formed multipart/form-data.",
        "MalformedXML" => "The XML you provided was not well-formed or did not validate against our published schema",
        "MaxMessageLengthExceeded" => "Your request was too large.",
        "MethodNotAllowed" => "The specified method is not allowed against this resource.",
        "MissingContentLength" => "You must provide the Content-Length HTTP header.",
        "MissingRequestBodyError" => "Request Body is empty",
        "SignatureDoesNotMatch" => {
            "The request signature we calculated does not match the signature you provided. Check your key and signing \
             method."
        }
        _ => "The request was refused.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_error_lacks_is_added_and_what_it_has_stays() {
        let bare = b"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>";
        let whole = "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code><Message>Access Denied</Message><RequestId>7\
             </RequestId></Error>";
        assert_eq!(complete(bare, "7").unwrap(), whole);
        let told = complete(b"<Error><Code>AccessDenied</Code><Message>Why</Message></Error>", "7").unwrap();
        assert!(told.contains("<Message>Why</Message><RequestId>"), "{told}");
        assert_eq!(complete(b"<ListBucketResult></ListBucketResult>", "7"), None);
    }
}
