/** What a session's id looks like, for whoever takes one from outside. */
export const SESSION_ID = /^[A-Za-z0-9_-]{1,64}$/;
export const SESSION_ID_FORM = 'a session id of 1 to 64 letters, digits, - or _';
