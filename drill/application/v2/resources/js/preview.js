const SAMPLE_NAME = 'Alex';

export function previewText(body, contacts, lines) {
    const text = [body.replaceAll('{name}', SAMPLE_NAME), ...lines].join('\n');

    return contacts ? `${text}\n(to ${contacts} contacts)` : text;
}
