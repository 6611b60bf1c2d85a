@extends('layouts.app')

@section('title', 'Campaigns')

@section('content')
    <p><a href="{{ route('campaigns.create') }}">New campaign</a></p>
    <table>
        <thead>
            <tr><th>Name</th><th>Template</th><th>Group</th><th>Messages</th><th>Created</th></tr>
        </thead>
        <tbody>
            @forelse ($campaigns as $campaign)
                <tr>
                    <td>{{ $campaign->name }}</td>
                    <td>{{ $campaign->template->name }}</td>
                    <td>{{ $campaign->group->name }}</td>
                    <td>{{ $campaign->logs_count }}</td>
                    <td>{{ $campaign->created_at }}</td>
                </tr>
            @empty
                <tr><td colspan="5">No campaign yet.</td></tr>
            @endforelse
        </tbody>
    </table>
    <p>
        @if ($campaigns->previousPageUrl())
            <a href="{{ $campaigns->previousPageUrl() }}">Newer</a>
        @endif
        @if ($campaigns->nextPageUrl())
            <a href="{{ $campaigns->nextPageUrl() }}">Older</a>
        @endif
    </p>
@endsection
