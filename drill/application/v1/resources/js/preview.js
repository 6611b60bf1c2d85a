const SAMPLE_NAME = 'Alex';

export function previewText(body, contacts) {
    const text = body.replaceAll('{name}', SAMPLE_NAME);

    return contacts ? `${text} (to ${contacts} contacts)` : text;
}
