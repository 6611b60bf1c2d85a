function isHybrid(form) {
    return form.elements.campaign_type?.value === 'hybrid';
}

export function showHybridFields(form) {
    const fields = form.querySelector('[data-hybrid-only]');

    if (fields) {
        fields.hidden = !isHybrid(form);
    }
}

export function hybridLines(form) {
    if (!isHybrid(form)) {
        return [];
    }

    const buttons = [...form.querySelectorAll('input[name="buttons[]"]')];

    return buttons
        .map((input) => input.value.trim())
        .filter(Boolean)
        .map((label, index) => `${index + 1}. ${label}`);
}
