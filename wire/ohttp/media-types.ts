/** The media types of RFC 9458, 9. */
export const ohttpRequestType = "message/ohttp-req";
export const ohttpResponseType = "message/ohttp-res";
export const ohttpKeysType = "application/ohttp-keys";
