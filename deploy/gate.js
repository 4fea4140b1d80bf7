// What nginx lets through to Cog: an input whose video is in the request itself, and nothing beside the input.

function check(r) {
    const reason = refusal(r.requestText);
    if (reason) {
        r.headersOut['Content-Type'] = 'application/json';
        r.return(400, JSON.stringify({error: reason}) + '\n');
    } else {
        r.internalRedirect('@cog');
    }
}

function refusal(text) {
    let body;
    try {
        body = JSON.parse(text);
    } catch (error) {
        return 'the body is not JSON';
    }
    if (body === null || typeof body !== 'object' || Array.isArray(body)) {
        return 'the body is not an object';
    }
    const extra = Object.keys(body).filter((name) => name !== 'input');
    if (extra.length) {
        return 'only "input" is taken: no id, no webhook';
    }
    const input = body.input;
    if (input === null || typeof input !== 'object' || Array.isArray(input)) {
        return '"input" is not an object';
    }
    if (typeof input.video !== 'string' || !input.video.startsWith('data:')) {
        return 'video: only a data URL is taken here, no address';
    }
    return '';
}

export default {check};
