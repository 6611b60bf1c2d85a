@extends('layouts.app')

@section('title', 'New campaign')

@inject('vite', 'App\Support\ViteManifest')

@push('assets')
    {{ $vite->tags('resources/js/campaign-create.js') }}
@endpush

@section('content')
    <form id="campaign-form" method="post" action="{{ route('campaigns.store') }}">
        @csrf
        <label>Name <input name="name" value="{{ old('name') }}" maxlength="255" required></label>
        <label>Template
            <select name="template_id" required>
                <option value="">Choose a template</option>
                @foreach ($templates as $template)
                    <option value="{{ $template->id }}" data-body="{{ $template->body }}" @if (old('template_id') == $template->id) selected @endif>{{ $template->name }}</option>
                @endforeach
            </select>
        </label>
        <label>Contact group
            <select name="group_id" required>
                <option value="">Choose a group</option>
                @foreach ($groups as $group)
                    <option value="{{ $group->id }}" data-contacts="{{ $group->contacts_count }}" @if (old('group_id') == $group->id) selected @endif>{{ $group->name }}</option>
                @endforeach
            </select>
        </label>
        <aside id="campaign-preview" aria-live="polite" hidden></aside>
        <button>Send campaign</button>
    </form>
@endsection
